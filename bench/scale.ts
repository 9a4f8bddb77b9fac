/** Requests a second beside an empty app, creates beside raw commits, what an idle stream and an idle link hold, and how it grows with rows. */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type postgres from 'postgres'
import { WebSocket } from 'ws'
import { connect } from '#db/connect.ts'
import { agentAudience } from '#protocol/agent-identity.ts'
import { linkSubprotocol } from '#protocol/link-messages.ts'
import { type Figure, interleaved, median, noiseOf } from './figures.ts'
import type { Options } from './options.ts'
import { Part } from './processes.ts'
import { openStage, type Stage } from './stage.ts'

const suite = 'scale'

export const requestSuite = (options: Options) =>
  onStage(async stage => {
    const { part: empty, ready } = await Part.begin<{ port: number }>('bench/parts/empty-hono.ts')
    try {
      return await requests(stage, `http://127.0.0.1:${ready.port}/`, options)
    } finally {
      await empty.end()
    }
  })
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
export const idleSuite = (options: Options) =>
  onStage(async (stage, database) => [...(await idleStreams(stage, options)), ...(await idleLinks(stage, database, options))])
export const growthSuite = (options: Options) => onStage((stage, database) => growth(stage, database, options))

async function onStage(measure: (stage: Stage, database: postgres.Sql) => Promise<Figure[]>): Promise<Figure[]> {
  const stage = await openStage({ places: 100_000 })
  const database = connect(stage.databaseUrl, { max: 16, onnotice: () => {} })
  try {
    return await measure(stage, database)
  } finally {
    await database.end({ timeout: 2 })
    await stage.close()
  }
}

async function perSecond(count: number, atOnce: number, once: () => Promise<unknown>): Promise<number> {
  let left = count
  const began = performance.now()
  const worker = async () => {
    while (left-- > 0) await once()
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return count / ((performance.now() - began) / 1000)
}

async function requests(stage: Stage, emptyUrl: string, { rounds, scale, say }: Options): Promise<Figure[]> {
  say('scale: requests')
  const headers = { authorization: `Bearer ${stage.token}` }
  const get = async (url: string, init?: RequestInit) => void (await (await fetch(url, init)).arrayBuffer())
  const count = Math.round(2_000 * scale)
  const rates = await interleaved(rounds, {
    me: () => perSecond(count, 16, () => get(`${stage.url}/v1/me`, { headers })),
    session: () => perSecond(count, 16, () => get(`${stage.url}/v1/sessions/${stage.session}`, { headers })),
    health: () => perSecond(count, 16, () => get(`${stage.url}/health`)),
    empty: () => perSecond(count, 16, () => get(emptyUrl)),
  })
  const figure = (name: string, way: 'me' | 'session' | 'health', than?: number): Figure => ({
    ...{ suite, name, unit: '/s', value: median(rates[way]), peer: { name: 'empty Hono', value: median(rates.empty) } },
    ...(than === undefined ? {} : { target: { is: 'at least' as const, than } }),
    noise: noiseOf(rates[way]),
  })
  return [
    figure('GET /health (no token, no query)', 'health'),
    figure('GET a session (token, one query)', 'session', 0.6),
    figure('GET /v1/me (token, several queries)', 'me'),
  ]
}

async function creates(
  stage: Stage,
  database: postgres.Sql,
  floorUrl: string,
  { rounds, scale, say }: Options,
): Promise<Figure[]> {
  say('scale: creates')
  await database`create table if not exists bench_rows as select * from sessions limit 0`
  const [row] = await database`select * from sessions limit 1`
  const count = Math.round(150 * scale)
  const create = () => stage.call('POST', '/v1/sessions', { template: 'bench' })
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"template":"bench"}' }
  const floor = async () => void (await (await fetch(floorUrl, post)).text())
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
  say('scale: warm creates')
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
  const warm = await interleaved(rounds, {
    porthole: async () => {
      await fillPool(database, pool.id)
      return each(async () => {
        const made = await create()
        if (made.body.status !== 'running') throw new Error(`not warm: ${JSON.stringify(made.body)}`)
      })
    },
    transaction: async () => {
      await fillPool(database, pool.id)
      return each(async () => {
        const [made] = await database`select bench_create(${stage.session}) as id`
        if (!made?.id) throw new Error('nothing was warm')
      })
    },
    raw: () => each(insert),
  })
  await stage.call('DELETE', `/v1/pools/${pool.id}`)
  const figure = (name: string, found: Record<'porthole' | 'raw', number[]>, than?: number): Figure => ({
    ...{ suite, name, unit: '/s', value: median(found.porthole), noise: noiseOf(found.porthole) },
    peer: { name: 'raw single-row commits', value: median(found.raw) },
    ...(than === undefined ? {} : { target: { is: 'at least' as const, than } }),
  })
  return [
    figure('creates, 8 at once', several, 0.5),
    figure('creates, 32 at once', crowd),
    {
      ...{ suite, name: 'the same', unit: '/s', value: median(crowd.porthole), noise: noiseOf(crowd.porthole) },
      peer: { name: 'a bare Hono route with one insert', value: median(crowd.floor) },
    },
    {
      ...{ suite, name: 'that bare route', unit: '/s', value: median(crowd.floor), noise: noiseOf(crowd.floor) },
      peer: { name: 'raw single-row commits', value: median(crowd.raw) },
    },
    figure('creates, one after the other', alone),
    {
      ...{
        suite,
        name: 'warm create, answered running',
        unit: 'ms',
        value: median(warm.porthole),
        noise: noiseOf(warm.porthole),
      },
      peer: { name: 'its transaction, one round trip', value: median(warm.transaction) },
      target: { is: 'at most', than: 3 },
    },
    {
      ...{ suite, name: 'the same', unit: 'ms', value: median(warm.porthole), noise: noiseOf(warm.porthole) },
      peer: { name: 'one durable commit', value: median(warm.raw) },
    },
  ]
}

/** What a warm create has to do in Postgres, as one call: quota under the project's lock, the claim, the row, its audit and its event. */
async function oneTransaction(database: postgres.Sql): Promise<void> {
  await database.unsafe(`
    create or replace function bench_create(model text) returns text language plpgsql as $$
    declare
      made sessions;
      taken warm_sessions;
    begin
      select * into made from sessions where id = model;
      perform quotas from projects where id = made.project_id for update;
      perform count(*), sum(cpu_millis), sum(memory_bytes), sum(storage_bytes) from sessions
        where project_id = made.project_id and status in ('queued', 'starting', 'running', 'stopping');
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

interface ApiState {
  memory: NodeJS.MemoryUsage
  resources: number
}

/** What is in use after a collection. Resident memory would hide it: what was freed before is used again. */
async function inUse(part: Part): Promise<number> {
  const { heapUsed, external } = (await part.ask<ApiState>({})).memory
  return heapUsed + external
}

async function idleStreams(stage: Stage, { scale, say }: Options): Promise<Figure[]> {
  const count = Math.round(200 * Math.min(1, Math.max(0.2, scale)))
  say(`scale: ${count} idle streams`)
  const open = () => Promise.all(Array.from({ length: count }, () => stage.stream()))
  // Once before, so that what is paid only once is not counted.
  for (const ws of await open()) ws.terminate()
  await new Promise(done => setTimeout(done, 2_000))
  const before = await inUse(stage.api)
  const sockets = await open()
  await new Promise(done => setTimeout(done, 1_000))
  const each = (await inUse(stage.api)) - before
  for (const ws of sockets) ws.terminate()
  return [
    {
      ...{ suite, name: 'memory of an idle stream in the API', unit: 'KB', value: Math.max(0, each) / count / 1024, peer: null },
      target: { is: 'at most', than: 25 },
    },
  ]
}

async function idleLinks(stage: Stage, database: postgres.Sql, { scale, say }: Options): Promise<Figure[]> {
  const count = Math.round(1_000 * Math.min(5, scale))
  say(`scale: ${count} idle agents' links`)
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const key = await exportJWK(publicKey)
  await database`
    insert into clusters (id, name, agent_id, agent_public_key)
    select 'clu_bench' || n, 'bench' || n, 'agt_bench' || n, ${database.json(key as never)} from generate_series(1, ${count}) n`
  const before = await inUse(stage.api)
  const links: WebSocket[] = []
  const dial = async (n: number) => {
    const id = `agt_bench${n}`
    const now = Math.floor(Date.now() / 1000)
    const jwt = await new SignJWT({ aud: agentAudience, iss: id, iat: now, exp: now + 60 })
      .setProtectedHeader({ alg: 'EdDSA', kid: id })
      .sign(privateKey)
    const ws = new WebSocket(`${stage.url.replace('http', 'ws')}/v1/agent/link`, linkSubprotocol, {
      ...{ headers: { authorization: `Bearer ${jwt}` }, perMessageDeflate: false },
    })
    ws.on('error', () => {})
    await new Promise<void>((done, fail) => {
      ws.once('open', () => ws.send(JSON.stringify(hello)))
      ws.once('unexpected-response', (_, answer) => fail(new Error(`link refused: ${answer.statusCode}`)))
      ws.on('message', text => {
        const { type } = JSON.parse(String(text)) as { type: string }
        if (type === 'snapshot') done()
        if (type === 'ping') ws.send('{"type":"pong"}')
      })
    })
    links.push(ws)
  }
  let next = 0
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < count) await dial(++next)
    }),
  )
  const each = (await inUse(stage.api)) - before
  for (const ws of links) ws.terminate()
  return [
    {
      ...{ suite, name: "memory of an idle agent's link", unit: 'KB', value: Math.max(0, each) / count / 1024, peer: null },
      target: { is: 'at most', than: 15 },
    },
  ]
}

const hello = {
  ...{ type: 'hello', agent_version: '0', protocol: { min: 1, max: 1 }, boot: 'b', resume: null },
  capabilities: {
    ...{ runtime: 'local', kinds: ['app'], browsers: [], features: [], versions: {}, notes: [] },
    capacity: { sessions: 1, cpu_millis: null, memory_bytes: null },
  },
}

async function growth(stage: Stage, database: postgres.Sql, { rounds, scale, say }: Options): Promise<Figure[]> {
  const rows = Math.round(1_000_000 * scale)
  const measure = async () => {
    const list = () => stage.call('GET', '/v1/sessions?limit=20')
    const active = () => stage.call('GET', '/v1/sessions?status=active&limit=20')
    const get = () => stage.call('GET', `/v1/sessions/${stage.session}`)
    const time = (call: () => Promise<unknown>) => async () => {
      const began = performance.now()
      for (let n = 0; n < 10; n++) await call()
      return (performance.now() - began) / 10
    }
    return interleaved(rounds, {
      get: time(get),
      list: time(list),
      active: time(active),
      create: time(() => stage.call('POST', '/v1/sessions', { template: 'bench' })),
    })
  }
  say('scale: growth, few rows')
  const few = await measure()
  say(`scale: growth, ${rows} rows`)
  const columns = (await database`select column_name as name from information_schema.columns where table_name = 'sessions'`)
    .map(each => String(each.name))
    .filter(name => !['id', 'name', 'status', 'ended_at', 'desired', 'created_at', 'change_seq'].includes(name))
  const list = columns.map(name => `"${name}"`).join(', ')
  await database.unsafe(
    `insert into sessions (id, status, desired, ended_at, created_at, change_seq, ${list})
     select 'ses_old' || n, 'failed', 'stopped', now(), now() - n * interval '1 second', 0, ${list}
     from (select * from sessions where id = $1) s, generate_series(1, ${rows}) n`,
    [stage.session],
  )
  await database`analyze sessions`
  const many = await measure()
  return (['get', 'list', 'active', 'create'] as const).map(what => ({
    ...{
      suite,
      name: `${what}, ${rows.toLocaleString('en')} rows`,
      unit: 'ms',
      value: median(many[what]),
      noise: noiseOf(many[what]),
    },
    ...{ peer: { name: 'few rows', value: median(few[what]) }, target: { is: 'at most' as const, than: 1.5 } },
  }))
}
