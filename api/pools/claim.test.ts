/** Creates that take what is warm, over real Postgres: what is handed out, to whom, and in how many statements. The cluster is only rows. */
import { eq, sql } from 'drizzle-orm'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { audit, clusters, events, pools, projects, sessions } from '#db/schema.ts'
import { type ApiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import type { FakeCluster } from '../testing/fake-cluster.ts'
import { poolFixture } from '../testing/pool-fixture.ts'

let api: ApiFixture
let cluster: FakeCluster
let token: Minted
const fixture = poolFixture()
const { create, rows, filled } = fixture
beforeEach(() => {
  ;({ api, cluster, token } = fixture.now)
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
    await filled(8)
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
    expect(await next()).toEqual([201, 'running', false])
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
      .set({ quotas: sql`${projects.quotas} || '{"max_sessions": 8}'` })
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
