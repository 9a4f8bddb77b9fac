/** Pools over real Postgres: what never is handed out, what becomes of what was, and room. The cluster is only rows. */
import { eq, sql } from 'drizzle-orm'
import { beforeEach, describe, expect, it } from 'vitest'
import { clusters, pools, templates, warm_sessions } from '#db/schema.ts'
import type { ApiFixture, Minted } from '../testing/api-fixture.ts'
import { capable, type FakeCluster } from '../testing/fake-cluster.ts'
import { poolFixture, warmable } from '../testing/pool-fixture.ts'
import { refillPools } from './refill.ts'

let api: ApiFixture
let cluster: FakeCluster
let token: Minted
const fixture = poolFixture()
const { make, create, sweep, rows, seen, filled } = fixture
beforeEach(() => {
  ;({ api, cluster, token } = fixture.now)
})

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
