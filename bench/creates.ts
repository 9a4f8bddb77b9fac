/** Creates beside raw commits, beside a bare route with one insert, and a warm one beside its own transaction. */
import type postgres from 'postgres'
import { type Figure, interleaved, median, noiseOf, perSecond } from './figures.ts'
import { ask } from './http.ts'
import type { Options } from './options.ts'
import { Part } from './processes.ts'
import { onStage, type Stage } from './stage.ts'

const suite = 'creates'

export const createSuite = (options: Options) =>
  onStage(async (stage, database) => {
    const env = { DATABASE_URL: stage.databaseUrl }
    const { part: floor, ready } = await Part.begin<{ port: number }>('bench/parts/empty-hono.ts', [], env)
    try {
      return await creates(stage, database, `http://127.0.0.1:${ready.port}/`, options)
    } finally {
      await floor.end()
    }
  })

async function creates(
  stage: Stage,
  database: postgres.Sql,
  floorUrl: string,
  { rounds, scale, say }: Options,
): Promise<Figure[]> {
  say('creates')
  await database`create table if not exists bench_rows as select * from sessions limit 0`
  const [row] = await database`select * from sessions limit 1`
  const count = Math.round(150 * scale)
  const create = () => stage.call('POST', '/v1/sessions', { template: 'bench' })
  const floor = () => ask(floorUrl, { method: 'POST', body: { template: 'bench' } })
  const insert = () => database`insert into bench_rows ${database(row as never)}`
  const several = await interleaved(rounds, {
    porthole: () => perSecond(count, 8, create),
    raw: () => perSecond(count, 8, insert),
  })
  const crowd = await interleaved(rounds, {
    porthole: () => perSecond(2 * count, 32, create),
    floor: () => perSecond(2 * count, 32, floor),
    raw: () => perSecond(2 * count, 32, insert),
  })
  const alone = await interleaved(rounds, {
    porthole: () => perSecond(Math.round(count / 5), 1, create),
    raw: () => perSecond(Math.round(count / 5), 1, insert),
  })
  say('creates: warm ones')
  const pool = (await stage.call('POST', '/v1/pools', { template: 'bench', cluster: 'bench', size: 0, idle_size: 0 })).body
  await oneTransaction(database)
  const each = async (once: () => Promise<unknown>) => {
    const times: number[] = []
    for (let n = 0; n < 20; n++) {
      const began = performance.now()
      await once()
      times.push(performance.now() - began)
    }
    return median(times)
  }
  const warm = (limited: boolean) =>
    interleaved(rounds, {
      porthole: async () => {
        await setQuota(database, limited)
        await fillPool(database, pool.id)
        return each(async () => {
          const made = await create()
          if (made.body.status !== 'running') throw new Error(`not warm: ${JSON.stringify(made.body)}`)
        })
      },
      transaction: async () => {
        await fillPool(database, pool.id)
        return each(async () => {
          const [made] = await database`select bench_create(${stage.session}, ${limited}) as id`
          if (!made?.id) throw new Error('nothing was warm')
        })
      },
      raw: () => each(insert),
    })
  const [counted, uncounted] = [await warm(true), await warm(false)]
  await stage.call('DELETE', `/v1/pools/${pool.id}`)
  const figure = (name: string, found: Record<'porthole' | 'raw', number[]>, than?: number): Figure => ({
    ...{ suite, name, unit: '/s', value: median(found.porthole), noise: noiseOf(found.porthole) },
    peer: { name: 'raw single-row commits', value: median(found.raw) },
    ...(than === undefined ? {} : { target: { is: 'at least' as const, than } }),
  })
  const warmFigure = (name: string, found: Record<'porthole' | 'transaction', number[]>): Figure => ({
    ...{ suite, name, unit: 'ms', value: median(found.porthole), noise: noiseOf(found.porthole) },
    peer: { name: 'its transaction, one round trip', value: median(found.transaction) },
    target: { is: 'at most', than: 3 },
  })
  return [
    figure('a second, 8 at once', several, 0.5),
    figure('a second, 32 at once', crowd),
    {
      ...{ suite, name: 'the same', unit: '/s', value: median(crowd.porthole), noise: noiseOf(crowd.porthole) },
      peer: { name: 'a bare Hono route with one insert', value: median(crowd.floor) },
    },
    {
      ...{ suite, name: 'that bare route', unit: '/s', value: median(crowd.floor), noise: noiseOf(crowd.floor) },
      peer: { name: 'raw single-row commits', value: median(crowd.raw) },
    },
    figure('a second, one after the other', alone),
    {
      ...{ suite, name: 'a second, 32 at once', unit: '/s', value: median(crowd.porthole), noise: noiseOf(crowd.porthole) },
      peer: { name: 'raw single-row commits, one after the other', value: median(alone.raw) },
    },
    warmFigure('a warm one, answered running, with quotas', counted),
    warmFigure('a warm one without quotas', uncounted),
    {
      ...{ suite, name: 'the same', unit: 'ms', value: median(uncounted.porthole), noise: noiseOf(uncounted.porthole) },
      peer: { name: 'one durable commit', value: median(uncounted.raw) },
    },
  ]
}

/** What a warm create has to do in Postgres, as one call: quota (counted only where there is one, as the create does) under the project's lock, the claim, the row, its audit and its event. */
async function oneTransaction(database: postgres.Sql): Promise<void> {
  await database.unsafe(`
    create or replace function bench_create(model text, limited boolean) returns text language plpgsql as $$
    declare
      made sessions;
      taken warm_sessions;
    begin
      select * into made from sessions where id = model;
      perform quotas from projects where id = made.project_id for update;
      if limited then
        perform count(*), sum(cpu_millis), sum(memory_bytes), sum(storage_bytes) from sessions
          where project_id = made.project_id and status in ('queued', 'starting', 'running', 'stopping');
      end if;
      delete from warm_sessions where id = (select w.id from warm_sessions w where w.desired = 'running' and w.status = 'ready'
        order by w.ready_at, w.id limit 1 for update skip locked) returning * into taken;
      update clusters set seq = seq + 1 where id = taken.cluster_id returning seq into made.change_seq;
      made.id := taken.id;
      made.name := null;
      made.status := 'running';
      made.created_at := clock_timestamp();
      insert into sessions values (made.*);
      insert into audit (id, project_id, actor_kind, actor, action, target, outcome)
        values ('aud_' || made.id, made.project_id, 'token', 'bench', 'session.create', made.id, 'ok');
      insert into events (id, project_id, session_id, type, data)
        values ('evt_' || made.id, made.project_id, made.id, 'session.created', jsonb_build_object('session', to_jsonb(made)));
      return made.id;
    end $$`)
}

/** Usage is counted only for a project with quotas: what is compared must count, or not, on both sides. */
async function setQuota(database: postgres.Sql, limited: boolean): Promise<void> {
  await database`update projects set quotas = quotas || jsonb_build_object('max_sessions', ${limited ? 1_000_000 : null}::int)`
}

/** Rows as the agent's reports would have left them: what is measured is the claim, not the start. */
async function fillPool(database: postgres.Sql, pool: string): Promise<void> {
  await database`update pools set size = 20, idle_size = 20 where id = ${pool}`
  for (;;) {
    const [made] = await database`select fit from pools where id = ${pool}`
    if (made?.fit) break
    await new Promise(done => setTimeout(done, 100))
  }
  await database`
    insert into warm_sessions (id, pool_id, cluster_id, spec, fit, status, ready_epoch, ready_at, change_seq)
    select 'ses_bench' || lower(to_hex((random() * 2147483647)::int)) || n, p.id, p.cluster_id, s.spec, p.fit, 'ready', c.epoch, now(), 0
    from generate_series(1, 22) n, pools p join clusters c on c.id = p.cluster_id,
      lateral (select spec from sessions where cluster_id = p.cluster_id limit 1) s where p.id = ${pool}`
}
