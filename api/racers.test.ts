/** Many at once against one limit, over real Postgres: exactly as many get through as there is room for. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OpenDatabase, openDatabase } from '#db/client.ts'
import { audit, clusters, grants, sessions, tickets } from '#db/schema.ts'
import type { Scope } from './context.ts'
import { createSession } from './sessions/create.ts'
import { SessionCreate } from './sessions/schema.ts'
import { loadBuiltinTemplates } from './templates/builtin.ts'
import { type Answer, type ApiFixture, apiFixture, type Minted, origin } from './testing/api-fixture.ts'
import { capable, FakeCluster } from './testing/fake-cluster.ts'

const scopes: Scope[] = ['sessions:read', 'sessions:write', 'sessions:connect', 'tokens']
let api: ApiFixture
let cluster: FakeCluster
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  await loadBuiltinTemplates(api.db)
  cluster = await new FakeCluster(api).connect(capable(1_000))
})
afterAll(() => api?.close())

const create = (token: Minted | string, headers?: Record<string, string>, body: object = {}) =>
  api.call('POST', '/v1/sessions', { token, body: { template: 'chromium', ...body }, headers })
const many = <T>(count: number, one: (i: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, i) => one(i)))
const count = (answers: { status: number }[], status: number) => answers.filter(answer => answer.status === status).length
const living = async (project: string) => (await api.db.select().from(sessions).where(eq(sessions.project_id, project))).length

describe('quotas', () => {
  it('40 racers, five allowed: five', async () => {
    const token = await api.mint({ project: await api.project({ max_sessions: 5 }), scopes })
    const answers = await many(40, () => create(token))
    expect([count(answers, 201), count(answers, 403)]).toEqual([5, 35])
    expect(answers.find(answer => answer.status === 403)!.body).toMatchObject({ code: 'quota_exceeded' })
    expect(await living(token.project)).toBe(5)
  })

  it('of those that meet each has its own outcome: who is refused takes nothing from the others', async () => {
    const token = await api.mint({ project: await api.project({ max_sessions: 4 }), scopes })
    const kinds = [{ cluster: 'nowhere' }, { template: 'nothing' }, { browser: 'firefox', resources: { cpu: '1e9' } }, {}]
    const answers = await many(16, i => create(token, undefined, kinds[i % 4]))
    const statuses = kinds.map((_, kind) => answers.filter((_, i) => i % 4 === kind).map(answer => answer.status))
    // 403 once the project is full: quota is asked first.
    for (const status of statuses[0]!) expect([403, 422]).toContain(status)
    expect(statuses[1]).toEqual([422, 422, 422, 422])
    expect(statuses[3]).toEqual([201, 201, 201, 201])
    expect(await living(token.project)).toBe(4)
    const told = await api.db
      .select()
      .from(audit)
      .where(and(eq(audit.project_id, token.project), eq(audit.action, 'session.create')))
    expect(told.map(row => row.target).sort()).toEqual(
      answers.flatMap(({ body, status }) => (status === 201 ? [body.id] : [])).sort(),
    )
  })

  it('of several replicas, whose creates do not meet: no more than the project has, no more than the cluster has', async () => {
    const replicas = Array.from({ length: 4 }, () => openDatabase(api.url, { max: 4, applicationName: 'racers' }))
    const race = async (token: Minted, body: object) => {
      const ctx = api.ctx(token, scopes)
      const input = SessionCreate.parse({ template: 'chromium', ...body })
      const made = await Promise.allSettled(
        Array.from({ length: 48 }, (_, i) => createSession({ ...ctx, db: replicas[i % 4]!.db }, input)),
      )
      return made.map(each => (each.status === 'fulfilled' ? each.value.session.status : each.reason.code)).sort()
    }
    const few = await api.mint({ project: await api.project({ max_sessions: 5 }), scopes })
    expect(await race(few, {})).toEqual([...Array(43).fill('quota_exceeded'), ...Array(5).fill('starting')])
    const small = await new FakeCluster(api).connect(capable(5))
    expect(await race(await api.mint({ scopes }), { cluster: small.id })).toEqual([
      ...Array(43).fill('queued'),
      ...Array(5).fill('starting'),
    ])
    for (const replica of replicas) await replica.close()
  })

  it('of several replicas: what another one has placed counts where one chooses', async () => {
    const [here, there] = [1, 2].map(() => openDatabase(api.url, { max: 2, applicationName: 'racers' })) as [
      OpenDatabase,
      OpenDatabase,
    ]
    const [one, two] = [await new FakeCluster(api).connect(capable(50)), await new FakeCluster(api).connect(capable(50))]
    await api.db
      .update(clusters)
      .set({ labels: { pair: one.id } })
      .where(inArray(clusters.id, [one.id, two.id]))
    const ctx = api.ctx(await api.mint({ scopes }), scopes)
    const at = async ({ db }: OpenDatabase, body: object) =>
      (await createSession({ ...ctx, db }, SessionCreate.parse({ template: 'chromium', ...body }))).session.cluster
    const either = { selector: { pair: one.id } }
    expect(await at(here, { cluster: one.id })).toBe(one.id)
    for (let n = 0; n < 3; n++) await at(there, { cluster: two.id })
    expect([await at(here, either), await at(here, either)]).toEqual([one.id, one.id])
    for (let n = 0; n < 3; n++) await at(there, { cluster: one.id })
    expect(await at(here, either)).toBe(two.id)
    for (const replica of [here, there]) await replica.close()
  })

  it('of several projects for the last room of one cluster: as many as it has, each with a number of its own', async () => {
    const small = await new FakeCluster(api).connect(capable(7))
    const tokens = await many(8, async () => api.mint({ project: await api.project({}), scopes }))
    const answers = await many(32, i => create(tokens[i % 8]!, undefined, { cluster: small.id }))
    expect(answers.map(({ body }) => body.status).sort()).toEqual([...Array(25).fill('queued'), ...Array(7).fill('starting')])
    const rows = await api.db.select().from(sessions).where(eq(sessions.cluster_id, small.id))
    expect(rows.map(row => row.status)).toEqual(Array(7).fill('starting'))
    const numbers = rows.map(row => row.change_seq)
    expect(new Set(numbers).size).toBe(7)
    expect(Math.min(...numbers)).toBeGreaterThan(0)
    expect((await small.page(0)).seq).toBeGreaterThanOrEqual(Math.max(...numbers))
    // Who looks from just below a number is told of it: nothing was written behind a reader's back.
    for (const number of numbers) expect((await small.desired(number - 1)).length).toBeGreaterThan(0)
  })

  it('20 who want one by its name, one allowed: everybody gets that one', async () => {
    const token = await api.mint({ project: await api.project({ max_sessions: 1 }), scopes })
    const answers = await many(20, () => create(token, undefined, { name: 'mine' }))
    expect([count(answers, 201), count(answers, 200)]).toEqual([1, 19])
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
  })

  it('per user and per token, each exact within the project’s', async () => {
    const project = await api.project({ max_sessions: 100, max_sessions_per_user: 3 })
    const [ann, bob] = [await api.mint({ project, user: 'ann', scopes }), await api.mint({ project, user: 'bob', scopes })]
    const answers = await many(20, i => create(i % 2 ? ann : bob))
    expect([count(answers, 201), count(answers, 403)]).toEqual([6, 14])
    expect(answers.find(answer => answer.status === 403)!.body.detail).toContain('max_sessions_per_user')
    const eve = await api.mint({ scopes })
    const small = await api.call('POST', '/v1/tokens', {
      token: eve,
      body: { name: 'small', scopes, limits: { max_sessions: 2 } },
    })
    const mine = await many(10, () => create(small.body.token))
    expect([count(mine, 201), count(mine, 403)]).toEqual([2, 8])
    expect((await create(eve)).status).toBe(201)
  })

  it('of streams: project, user and token', async () => {
    const project = await api.project({ max_streams: 7, max_streams_per_user: 4 })
    const [ann, bob] = [await api.mint({ project, user: 'ann', scopes }), await api.mint({ project, user: 'bob', scopes })]
    const id = (await create(ann)).body.id
    await cluster.report([{ id, phase: 'running' }])
    const watch = (token: Minted | string) =>
      api.call('GET', `/v1/sessions/${id}/vnc`, { token, headers: { upgrade: 'websocket' } })
    const answers = await many(24, i => watch(i % 2 ? ann : bob))
    // 503: granted, and then the stub of a tunnel has no agents.
    expect([count(answers, 503), count(answers, 403)]).toEqual([7, 17])
    const open = await api.db
      .select({ user: grants.user_id })
      .from(grants)
      .where(and(eq(grants.project_id, project), isNull(grants.closed_at)))
    expect(open.filter(grant => grant.user === 'ann').length).toBeLessThanOrEqual(4)
    await api.db.update(grants).set({ closed_at: new Date() })
    const one = await api.call('POST', '/v1/tokens', { token: ann, body: { name: 'one', scopes, limits: { max_streams: 1 } } })
    expect(count(await many(5, () => watch(one.body.token)), 503)).toBe(1)
  })
})

describe('once', () => {
  it('64 redemptions of one ticket: one stream', async () => {
    const token = await api.mint({ scopes })
    const id = (await create(token)).body.id
    await cluster.report([{ id, phase: 'running' }])
    const { ticket } = (await api.call('POST', `/v1/sessions/${id}/tickets`, { token, body: { stream: 'vnc' } })).body
    const answers = await many(64, async () =>
      api.app.request(`${origin}/v1/sessions/${id}/vnc`, {
        headers: { upgrade: 'websocket', 'sec-websocket-protocol': `binary, ticket.${ticket}` },
      }),
    )
    expect([count(answers, 503), count(answers, 401)]).toEqual([1, 63])
    const [used] = await api.db
      .select({ n: sql<number>`count(*)::int` })
      .from(tickets)
      .where(sql`${tickets.used_at} is not null and ${tickets.session_id} = ${id}`)
    expect(used!.n).toBe(1)
  })

  it('the same create 30 times at once with one key: one session; with another body: refused', async () => {
    const token = await api.mint({ scopes })
    const answers: Answer[] = await many(30, i =>
      create(token, { 'idempotency-key': 'same' }, i % 10 === 9 ? { labels: { other: 'body' } } : {}),
    )
    expect(await living(token.project)).toBe(1)
    const ids = new Set(answers.filter(answer => answer.status === 201).map(answer => answer.body.id))
    expect(ids.size).toBe(1)
    for (const answer of answers) expect([201, 409, 422]).toContain(answer.status)
    expect(count(answers, 201)).toBeGreaterThan(0)
  })

  it('ending is never refused, whatever limit is used up', async () => {
    const project = await api.project({ requests_per_minute: 1, max_sessions: 1 })
    const token = await api.mint({ project, scopes })
    const { body } = await create(token)
    expect((await create(token)).status).toBe(429)
    expect((await api.call('DELETE', `/v1/sessions/${body.id}`, { token })).status).toBe(204)
  })
})
