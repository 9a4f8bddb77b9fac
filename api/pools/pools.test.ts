/** Pools over real Postgres: what is handed out, to whom, and what never is. The cluster is only rows. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { audit, clusters, events, pools, projects, sessions, templates, volumes, warm_sessions } from '#db/schema.ts'
import { sweepSessions } from '../sessions/sweep.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { capable, FakeCluster } from '../testing/fake-cluster.ts'
import { refillPools } from './refill.ts'

let api: ApiFixture
let cluster: FakeCluster
let token: Minted

beforeAll(async () => {
  api = await apiFixture()
  await loadBuiltinTemplates(api.db)
})
afterAll(() => api.close())

const warmable = (places = 10) => {
  const can = capable(places)
  return { ...can, features: [...can.features, 'warm'] }
}

beforeEach(async () => {
  await api.settled()
  await api.db.delete(sessions)
  await api.db.delete(volumes)
  await api.db.delete(clusters)
  cluster = await new FakeCluster(api).connect(warmable())
  token = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'clusters:read'] })
})

const make = async (body: object = {}, as = api.admin) =>
  api.call('POST', '/v1/pools', { token: as, body: { template: 'chromium', size: 1, ...body } })
const create = (body: object = {}, as: Minted = token, headers?: Record<string, string>) =>
  api.call('POST', '/v1/sessions', { token: as, body: { template: 'chromium', ...body }, headers })
const sweep = () => sweepSessions({ db: api.db, tunnel: api.tunnel, origin })
const rows = () => api.db.select().from(warm_sessions).orderBy(warm_sessions.created_at)
const seen = (id: string, phase: 'starting' | 'running' | 'ended' | 'absent', more: object = {}) =>
  cluster.report([{ id, phase, ...more }])

/** A pool whose sessions all run. */
async function filled(size = 1, body: object = {}): Promise<string[]> {
  const { body: pool } = await make({ size, ...body })
  const ids: string[] = []
  while (ids.length < size) {
    await sweep()
    const fresh = (await rows()).filter(row => row.pool_id === pool.id && !ids.includes(row.id))
    for (const { id } of fresh) {
      await seen(id, 'running', { warm: 'waiting', versions: { browser: 'Chromium 1' } })
      ids.push(id)
    }
  }
  return ids
}

it('a refill that waits for its cluster holds up nobody who has it: no pool is locked before', async () => {
  const { body: pool } = await make({ size: 1 })
  const refilled = await api.db.transaction(async tx => {
    await tx.select().from(clusters).where(eq(clusters.id, cluster.id)).for('update')
    const filling = refillPools(api.db)
    const waits = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await expect.poll(async () => (await api.db.execute(waits)).length, { timeout: 20_000 }).toBeGreaterThan(0)
    await tx.select().from(pools).where(eq(pools.id, pool.id)).for('update', { noWait: true })
    return { filling }
  })
  expect(await refilled.filling).toEqual([cluster.id])
})

describe('a create that fits', () => {
  it('is answered running, with the warm one’s id, and its agent is told whose it is', async () => {
    const [id] = await filled()
    const answer = await create({ labels: { a: 'b' }, env: { X: '1' }, idle_timeout_seconds: 60 })
    expect(answer.status).toBe(201)
    expect(answer.body).toMatchObject({ id, status: 'running', generation: 1, versions: { browser: 'Chromium 1' } })
    expect(answer.body.pool).toMatch(/^pol_/)
    expect(answer.body.started_at).not.toBeNull()
    expect(answer.body.phases.map((each: { phase: string }) => each.phase)).toEqual(['claimed', 'running'])
    expect(await rows()).toEqual([])
    const [item] = await cluster.desired()
    expect(item).toMatchObject({ id, generation: 1, state: 'running', touches: 1, idle_timeout_ms: 60_000 })
    expect(item!.warm).toBeUndefined()
    expect(item!.spec).toMatchObject({ project: token.project, user: token.user, env: { X: '1' } })
    await api.settled()
    expect(api.tunnel.nudged).toContain(cluster.id)
  })

  it('hurries its agent only for what somebody waits for', async () => {
    await filled(3)
    const { project, user: name } = token
    const user = await api.mint({ project, user: name, scopes: ['sessions:read', 'sessions:connect', 'exec'] })
    const hurried = async (body: object) => {
      const { status } = (await create(body)).body
      await api.settled()
      return [status, api.tunnel.urgent.at(-1)]
    }
    const { body: taken } = await create({ labels: { a: 'b' }, start_url: 'about:blank' })
    await api.settled()
    expect([taken.status, api.tunnel.urgent.at(-1)]).toEqual(['running', false])
    const wantIn = async (method: string, path: string, body?: object) => {
      const before = api.tunnel.urgent.length
      await api.call(method, path, { token: user, body, headers: { upgrade: 'websocket', connection: 'upgrade' } })
      await api.settled()
      return api.tunnel.urgent.slice(before)
    }
    const waits: [string, string, object?][] = [
      ['GET', `/v1/sessions/${taken.id}/vnc`],
      ['POST', `/v1/sessions/${taken.id}/tickets`, { stream: 'vnc' }],
      ['GET', `/v1/sessions/${taken.id}/screenshot`],
      ['POST', '/v1/terminals', { session: taken.id }],
    ]
    for (const [method, path, body] of waits) expect([path, await wantIn(method, path, body)]).toEqual([path, [true]])
    await cluster.report([{ id: taken.id, phase: 'running' }])
    for (const [method, path, body] of waits) expect([path, await wantIn(method, path, body)]).toEqual([path, []])
    expect(await hurried({ start_url: 'https://example.com' })).toEqual(['running', true])
    expect(await hurried({ env: { X: '1' } })).toEqual(['running', true])
    expect(await hurried({})).toEqual(['starting', true])
  })

  it('begins while its rate is asked: who is refused then has taken and written nothing', async () => {
    const ids = await filled(3)
    const project = await api.project({ requests_per_minute: 10 })
    const user = await api.mint({ project, scopes: ['sessions:write'] })
    const late = (seconds: number) =>
      api.db.execute(
        sql`update rate_limits set tat = clock_timestamp() + make_interval(secs => ${seconds}) where key = ${`project ${project}`}`,
      )
    expect((await create({}, user)).headers.get('ratelimit-remaining')).toBe('9')
    // Plenty is left, as far as anybody knows here.
    await late(60)
    const refused = await create({}, user)
    expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect(refused.headers.get('ratelimit-remaining')).toBe('0')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await rows()).map(({ id }) => id)).toEqual(ids.slice(1))
    const of = eq(sessions.project_id, project)
    expect(await api.db.$count(sessions, of)).toBe(1)

    await late(0)
    expect((await create({}, user)).status).toBe(201)
    await late(60)
    const answers = await Promise.all([
      create({ template: 'none' }, user),
      create({}, user),
      create({}, user, { 'idempotency-key': 'k' }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 429])
    await late(0)
    expect((await create({}, user, { 'idempotency-key': 'k' })).status).toBe(201)
    expect(await api.db.$count(sessions, of)).toBe(3)
  })

  /** Of a create: whether it needed no transaction of several statements. */
  async function atOnce(body: object = {}, as = token) {
    const transactions = vi.spyOn(api.db, 'transaction')
    const answer = await create(body, as)
    const one = transactions.mock.calls.length === 0
    transactions.mockRestore()
    return { answer, one }
  }

  it('after one that came warm, is one statement; what is answered, kept and told is the same', async () => {
    const [first, second] = await filled(2)
    expect(await atOnce()).toMatchObject({ answer: { body: { id: first, status: 'running' } }, one: false })
    const asked = { name: 'it ses_', labels: { first: first! }, start_url: 'https://example.com/' }
    const seqBefore = (await api.db.select().from(clusters))[0]!.seq
    const { answer, one } = await atOnce({ ...asked, ttl_seconds: 3600, idle_timeout_seconds: 60 })
    expect(one).toBe(true)
    expect(answer).toMatchObject({
      status: 201,
      body: { id: second, ...asked, status: 'running', cluster: cluster.id, ttl_seconds: 3600 },
    })
    const { created_at, started_at, expires_at, idle_expires_at, phases, pool, urls } = answer.body
    expect(Math.abs(Date.parse(created_at) - Date.now())).toBeLessThan(60_000)
    expect(Date.parse(expires_at) - Date.parse(created_at)).toBe(3_600_000)
    expect(Date.parse(idle_expires_at) - Date.parse(created_at)).toBe(60_000)
    expect([started_at, pool, urls.view]).toEqual([created_at, expect.stringMatching(/^pol_/), `${origin}/sessions/${second}`])
    expect(phases).toEqual(['claimed', 'running'].map(phase => ({ phase, at: created_at })))

    expect((await api.call('GET', `/v1/sessions/${second}`, { token })).body).toEqual(answer.body)
    const [told] = await api.db.select().from(events).where(eq(events.session_id, second!))
    expect(told).toMatchObject({ type: 'session.created', project_id: token.project, data: { session: answer.body } })
    const [recorded] = await api.db.select().from(audit).where(eq(audit.target, second!))
    expect(recorded).toMatchObject({
      action: 'session.create',
      outcome: 'ok',
      token_id: token.id,
      detail: { template: 'chromium' },
    })
    const [row] = await api.db.select().from(sessions).where(eq(sessions.id, second!))
    expect(row).toMatchObject({ change_seq: seqBefore + 1, settling: true, touches: 1, spec: { labels: asked.labels } })
    expect((await cluster.desired()).find(({ id }) => id === second)).toMatchObject({ state: 'running', touches: 1 })
    expect(await rows()).toEqual([])
    expect(await atOnce()).toMatchObject({ answer: { status: 201, body: { status: 'starting' } }, one: false })
  })

  it('is one statement only where nothing is otherwise: it takes one of its rate either way', async () => {
    await filled(7)
    const project = await api.project({ requests_per_minute: 100 })
    const user = await api.mint({ project, scopes: ['sessions:write', 'sessions:read'] })
    let left = 99
    const next = async (body: object = {}) => {
      const { answer, one } = await atOnce(body, user)
      expect(answer.headers.get('ratelimit-remaining')).toBe(String(left--))
      return [answer.status, answer.body.code ?? answer.body.status, one]
    }
    expect(await next({ name: 'a' })).toEqual([201, 'running', false])
    expect(await next({ name: 'b' })).toEqual([201, 'running', true])
    expect(await next({ name: 'a' })).toEqual([200, 'running', false])
    expect(await next({ name: 'c' })).toEqual([201, 'running', false])
    expect(await next({ headless: true })).toEqual([201, 'starting', false])
    expect(await next({ display: { width: 800, height: 600 } })).toEqual([201, 'running', false])
    expect(await next({ start_url: 'no address' })).toEqual([422, 'invalid', true])
    // Somebody has the project, and gives it back only when the create waits for it.
    const waiting = await api.db.transaction(async tx => {
      await tx.select().from(projects).where(eq(projects.id, project)).for('update')
      const created = next()
      const waits = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      await expect.poll(async () => (await api.db.execute(waits)).length, { timeout: 20_000 }).toBeGreaterThan(0)
      return { created }
    })
    expect(await waiting.created).toEqual([201, 'running', false])
    await api.db
      .update(projects)
      .set({ quotas: sql`${projects.quotas} || '{"max_sessions": 7}'` })
      .where(eq(projects.id, project))
    expect(await next()).toEqual([201, 'running', false])
    expect(await next()).toEqual([403, 'quota_exceeded', false])
    expect(await rows()).toHaveLength(1)
  })

  it('of many at once, each gets another one, and the rest start theirs', async () => {
    const ids = await filled(3)
    const answers = await Promise.all(Array.from({ length: 8 }, () => create()))
    const running = answers.filter(answer => answer.body.status === 'running').map(answer => answer.body.id)
    expect(running.sort()).toEqual(ids.sort())
    expect(answers.filter(answer => answer.body.status === 'starting')).toHaveLength(5)
    expect(new Set(answers.map(answer => answer.body.id)).size).toBe(8)
    await api.settled()
    const [pool] = await api.db.select().from(pools)
    expect(pool).toMatchObject({ hits: 3, misses: 5 })
  })

  it('after one that came warm: by the template as it is now; refused, it leaves the pool as it was', async () => {
    const template = { id: 'changing', name: 'Changing', kind: 'browser' }
    expect((await api.call('POST', '/v1/templates', { token: api.admin, body: template })).status).toBe(201)
    const all = await filled(3, { template: 'changing' })
    const project = await api.project({ max_sessions: 1 })
    const limited = await api.mint({ project, scopes: ['sessions:read', 'sessions:write'] })
    expect((await create({ template: 'changing' }, limited)).body.status).toBe('running')
    expect((await create({ template: 'changing' }, limited)).body).toMatchObject({ status: 403, code: 'quota_exceeded' })
    expect(await rows()).toHaveLength(2)

    expect((await create({ template: 'changing' })).body.status).toBe('running')
    const [left] = await rows()
    expect(all).toContain(left!.id)
    const larger = { ...template, id: undefined, resources: { cpu: '2' } }
    expect((await api.call('PUT', '/v1/templates/changing', { token: api.admin, body: larger })).status).toBe(200)
    const now = await create({ template: 'changing' })
    expect(now.body).toMatchObject({ status: 'starting', resources: { cpu: '2' } })
    expect((await rows()).map(row => row.id)).toEqual([left!.id])
    await api.call('DELETE', '/v1/templates/changing', { token: api.admin })
  })

  it('stays true to idempotency keys and names', async () => {
    await filled(2)
    const first = await create({ name: 'mine' }, token, { 'idempotency-key': 'k' })
    const again = await create({ name: 'mine' }, token, { 'idempotency-key': 'k' })
    const named = await create({ name: 'mine' })
    expect([again.body.id, named.body.id]).toEqual([first.body.id, first.body.id])
    expect(named.status).toBe(200)
    expect(await rows()).toHaveLength(1)
  })

  it('puts the pool’s browser at the disposal of every project, but not of a foreign cluster', async () => {
    const project = await api.project()
    await api.db.update(clusters).set({ project_id: project }).where(eq(clusters.id, cluster.id))
    await filled()
    expect((await create()).body).toMatchObject({ status: 'queued', pool: null })
    const owner = await api.mint({ project, scopes: ['sessions:write'] })
    expect((await create({}, owner)).body).toMatchObject({ status: 'running' })
  })
})

describe('never handed out', () => {
  const cold = async (body: object = {}) => {
    const answer = await create(body)
    expect([201, 409, 422]).toContain(answer.status)
    expect(answer.body.status).not.toBe('running')
  }

  it.each<[string, object]>([
    ['another browser size of memory', { resources: { memory: '3Gi' } }],
    ['a headless one', { headless: true }],
    ['another network', { egress: { mode: 'none' } }],
    ['another cluster', { cluster: 'elsewhere' }],
    ['another kind of cluster', { selector: { gpu: 'yes' } }],
  ])('to who asks for %s', async (_, body) => {
    await filled()
    await cold(body)
    expect(await rows()).toHaveLength(1)
  })

  it('with a volume: its files are there from the start or not at all', async () => {
    await filled()
    const writer = await api.mint({ scopes: ['sessions:write'] })
    const volume = (await api.call('POST', '/v1/volumes', { token: writer, body: { name: 'v' } })).body.id
    expect((await create({ volume }, writer)).body).toMatchObject({ status: 'starting', pool: null })
  })

  it('as running: one that is on its way up', async () => {
    await make()
    await sweep()
    const id = (await rows())[0]!.id
    expect((await create()).body).toMatchObject({ id, status: 'starting', started_at: null })
    await seen(id, 'running', { warm: 'settling' })
    expect((await api.call('GET', `/v1/sessions/${id}`, { token })).body).toMatchObject({
      status: 'running',
      pool: expect.any(String),
    })
    await api.settled()
    expect((await api.db.select().from(pools))[0]).toMatchObject({ hits: 0, misses: 1 })
  })

  it('one that has ended, or that nobody can vouch for', async () => {
    const [id] = await filled()
    // A new link: until its agent has said so again, it may be gone.
    await api.db.update(clusters).set({ epoch: 2, report_seq: 0 }).where(eq(clusters.id, cluster.id))
    await cold()
    await cluster.report([{ id: id!, phase: 'ended', cause: 'failed' }], { epoch: 2, seq: 1 })
    await cold()
  })

  it('of a cluster that is away or closed', async () => {
    await filled()
    await api.db.update(clusters).set({ scheduling: 'cordoned' }).where(eq(clusters.id, cluster.id))
    await cold()
    await api.db.update(clusters).set({ scheduling: 'open' }).where(eq(clusters.id, cluster.id))
    await cluster.goOffline()
    await cold()
    expect(await rows()).toHaveLength(1)
  })

  it('one of an older template, or too old: both are replaced', async () => {
    const [id] = await filled()
    const [template] = await api.db.select().from(templates).where(eq(templates.id, 'chromium'))
    const change = (body: Record<string, unknown>) => api.db.update(templates).set({ body }).where(eq(templates.id, 'chromium'))
    await change({ ...template!.body, env: { LANG: 'de_CH.UTF-8' } })
    await change({ ...template!.body, resources: { memory: '999Mi' } })
    await sweep()
    const after = await rows()
    expect(after.find(row => row.id === id)).toMatchObject({ desired: 'deleted' })
    expect(after.find(row => row.id !== id)).toMatchObject({ desired: 'running', status: 'starting' })
    await change(template!.body)
    await api.db.execute(sql`update warm_sessions set created_at = clock_timestamp() - interval '2 hours'`)
    await cold()
  })

  it('one with an environment that the create does not have', async () => {
    const [id] = await filled()
    await api.db
      .update(warm_sessions)
      .set({ spec: sql`jsonb_set(spec, '{env}', '{"OLD":"1"}')` })
      .where(eq(warm_sessions.id, id!))
    await cold({ env: { NEW: '1' } })
    expect((await create({ env: { NEW: '1', OLD: '2' } })).body).toMatchObject({ id, status: 'running' })
  })
})

describe('after it was taken', () => {
  it('late reports of its warm life change nothing; its own settle it', async () => {
    const [id] = await filled()
    await create({ display: { width: 800, height: 600 } })
    await seen(id!, 'running', { warm: 'waiting', display: { width: 1280, height: 720 } })
    await seen(id!, 'running', { warm: 'settling', display: { width: 1280, height: 720 } })
    const session = () => api.call('GET', `/v1/sessions/${id}`, { token })
    expect((await session()).body).toMatchObject({ status: 'running', display: { width: 800, height: 600 } })
    await seen(id!, 'running', { phases: [{ phase: 'spawned', age_ms: 90_000 }], display: { width: 800, height: 600 } })
    const { body } = await session()
    expect(body.phases.map((each: { phase: string }) => each.phase)).toEqual(['claimed', 'running', 'settled'])
    await seen(id!, 'ended', { cause: 'failed', reason: 'chromium crashed' })
    expect((await session()).body).toMatchObject({ status: 'failed' })
  })

  it('one that died before it was really anyone’s is started afresh', async () => {
    const [id] = await filled()
    await create()
    await seen(id!, 'ended', { cause: 'failed', reason: 'chromium crashed' })
    const { body } = await api.call('GET', `/v1/sessions/${id}`, { token })
    expect(body).toMatchObject({ id, status: 'starting', generation: 2, started_at: null })
    const [item] = await cluster.desired()
    expect(item).toMatchObject({ id, generation: 2, state: 'running' })
    await seen(id!, 'running', { generation: 2 })
    expect((await api.call('GET', `/v1/sessions/${id}`, { token })).body).toMatchObject({ status: 'running', generation: 2 })
  })

  it('a delete ends it like any other, and the pool is filled again', async () => {
    const [id] = await filled()
    await create()
    await api.call('DELETE', `/v1/sessions/${id}`, { token })
    expect(await cluster.desired()).toMatchObject([{ id, state: 'deleted' }])
    await seen(id!, 'absent')
    expect(await cluster.desired()).toEqual([])
    await sweep()
    expect(await rows()).toMatchObject([{ status: 'starting' }])
  })
})

describe('room', () => {
  it('is somebody’s own session’s first: a warm one gives way', async () => {
    await api.db
      .update(clusters)
      .set({ capabilities: warmable(2) })
      .where(eq(clusters.id, cluster.id))
    const [id] = await filled()
    const other = () => create({ headless: true })
    expect((await other()).body.status).toBe('starting')
    expect(await rows()).toMatchObject([{ desired: 'running' }])
    expect((await other()).body.status).toBe('starting')
    expect(await rows()).toMatchObject([{ id, desired: 'deleted' }])
    expect((await other()).body.status).toBe('queued')
    await seen(id!, 'absent')
    await sweep()
    expect(await rows()).toEqual([])
  })

  it('shrinks when nobody asks, grows when somebody does', async () => {
    await filled(3, { idle_size: 1, idle_after_seconds: 60 })
    const quiet = sql`clock_timestamp() - interval '61 seconds'`
    const used = (await create({ headless: true })).body.id
    await seen(used, 'running')
    await api.settled()
    await api.db.update(pools).set({ created_at: quiet, last_asked_at: quiet })
    await sweep()
    expect((await rows()).filter(row => row.desired === 'running')).toHaveLength(3)
    await seen(used, 'ended', { cause: 'stopped' })
    await sweep()
    const left = await rows()
    expect(left.filter(row => row.desired === 'running')).toHaveLength(1)
    for (const row of left.filter(row => row.desired === 'deleted')) await seen(row.id, 'absent')
    await create()
    await api.settled()
    await sweep()
    expect(await rows()).toMatchObject([{ status: 'starting' }])
  })

  it('failed starts are tried again later, and the pool says why', async () => {
    const { body: pool } = await make()
    await sweep()
    const [row] = await rows()
    await seen(row!.id, 'ended', { cause: 'failed', reason: 'no chromium here' })
    await sweep()
    await seen(row!.id, 'absent')
    await sweep()
    expect(await rows()).toEqual([])
    const { body } = await api.call('GET', `/v1/pools/${pool.id}`, { token: api.admin })
    expect(body.status_reason).toContain('no chromium here')
    await api.db.update(pools).set({ retry_at: sql`clock_timestamp()` })
    await sweep()
    expect(await rows()).toHaveLength(1)
  })
})

describe('/v1/pools', () => {
  it('tells what it holds and how it does, in /metrics too', async () => {
    await filled(2)
    await create()
    await api.settled()
    const { body } = await api.call('GET', '/v1/pools', { token })
    expect(body.data).toMatchObject([
      { object: 'pool', template: 'chromium', size: 2, ready: 1, starting: 0, hits: 1, misses: 0 },
    ])
    expect(body.data[0].refill_seconds).toBeGreaterThanOrEqual(0)
    const metrics = (await api.call('GET', '/metrics')).body as string
    expect(metrics).toContain('porthole_pool_hits_total 1')
    expect(metrics).toContain('porthole_warm_sessions{status="ready"} 1')
    expect(metrics).toMatch(/porthole_pool_refill_seconds_count 2/)
  })

  it('changes, and ends what it kept when it is deleted', async () => {
    const [id] = await filled()
    const [pool] = await api.db.select().from(pools)
    const path = `/v1/pools/${pool!.id}`
    const patched = await api.call('PATCH', path, { token: api.admin, body: { size: 0 } })
    expect(patched.body).toMatchObject({ size: 0, idle_size: 0 })
    expect((await api.call('DELETE', path, { token: api.admin })).status).toBe(204)
    expect(await rows()).toMatchObject([{ id, desired: 'deleted', pool_id: null }])
    expect((await api.call('GET', path, { token: api.admin })).status).toBe(404)
    await seen(id!, 'absent')
    expect(await rows()).toEqual([])
  })

  it('says what is wrong', async () => {
    expect((await make({ template: 'nope' })).body).toMatchObject({ status: 422, errors: [{ pointer: '/template' }] })
    expect((await make({ cluster: 'nope' })).body).toMatchObject({ status: 422, errors: [{ pointer: '/cluster' }] })
    const outsider = await api.mint({ scopes: ['clusters:admin'] })
    expect((await make({}, outsider)).status).toBe(403)
    await api.db.update(clusters).set({ capabilities: capable(3) })
    expect((await make()).status).toBe(409)
  })
})
