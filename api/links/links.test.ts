/** Share links over real Postgres: no account, exact limits, gone at once. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { grants, links, tokens } from '#db/schema.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

let api: ApiFixture
let owner: Minted
let id: string
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 } as object)
  await loadBuiltinTemplates(api.db)
  const cluster = await new FakeCluster(api).connect()
  owner = await api.mint({ user: 'ann', scopes: ['sessions:read', 'sessions:write', 'sessions:connect'] })
  id = (await api.call('POST', '/v1/sessions', { token: owner, body: { template: 'chromium', name: 'shown' } })).body.id
  await cluster.report([{ id, phase: 'running' }])
})
afterAll(() => api?.close())
beforeEach(() => api.db.execute(sql`truncate rate_limits`))

const share = async (body: object = {}) => (await api.call('POST', `/v1/sessions/${id}/links`, { token: owner, body })).body
const secretOf = (url: string) => new URL(url).hash.slice(1)
const open = (secret: string) => api.call('POST', '/v1/links/open', { body: { link: secret } })
const ticket = (secret: string) => api.call('POST', '/v1/links/tickets', { body: { link: secret } })
const watch = async (value: string) =>
  (
    await api.app.request(`${origin}/v1/sessions/${id}/vnc?ticket=${value}`, {
      headers: { upgrade: 'websocket', connection: 'Upgrade' },
    })
  ).status

describe('a share link', () => {
  it('tells a stranger who shares what, and until when, and nothing else', async () => {
    const link = await share({ role: 'view', ttl_seconds: 60 })
    expect(link).toMatchObject({ object: 'link', role: 'view', session: id, shared_by: 'ann', viewers: 0 })
    expect(link.url).toMatch(/^http:\/\/porthole\.test\/join#vnc-lk-/)
    const { status, body } = await open(secretOf(link.url))
    expect(status).toBe(200)
    expect(Object.keys(body).sort()).toEqual([
      'asked_at',
      'control_mode',
      'display',
      'expires_at',
      'name',
      'object',
      'role',
      'role_now',
      'shared_by',
      'status',
      'template',
    ])
    expect(body).toMatchObject({ name: 'shown', shared_by: 'ann', role: 'view', expires_at: link.expires_at })
  })

  it('may be looked at again and again, but not guessed', async () => {
    const secret = secretOf((await share()).url)
    for (let look = 0; look < 40; look++) expect((await open(secret)).status).toBe(200)
    const wrong = `${secret.slice(0, -1)}x`
    const guesses = await Promise.all(Array.from({ length: 60 }, () => open(wrong)))
    expect(new Set(guesses.map(({ status }) => status))).toEqual(new Set([404, 429]))
  })

  it('opens the screen with its role, however the holder asks', async () => {
    const made = await ticket(secretOf((await share({ role: 'view' })).url))
    expect(made.body).toMatchObject({ role: 'view', stream: 'vnc' })
    expect(await watch(made.body.ticket)).toBe(503)
    expect(api.tunnel.opened.at(-1)).toMatchObject({ kind: 'vnc', role: 'view' })
    const [row] = await api.db
      .select()
      .from(grants)
      .where(eq(grants.id, api.tunnel.opened.at(-1)!.id))
    expect(row!.link_id).not.toBeNull()
  })

  it('lets exactly max_viewers in, however many race', async () => {
    const link = await share({ max_viewers: 3 })
    const secret = secretOf(link.url)
    const tickets = await Promise.all(Array.from({ length: 12 }, () => ticket(secret)))
    const answers = await Promise.all(tickets.map(made => watch(made.body.ticket)))
    expect(answers.filter(status => status === 503)).toHaveLength(3)
    expect(answers.filter(status => status === 409)).toHaveLength(9)
    expect((await ticket(secret)).status).toBe(409)
    await api.db
      .update(grants)
      .set({ closed_at: sql`clock_timestamp()` as never })
      .where(eq(grants.link_id, link.id))
    expect((await ticket(secret)).status).toBe(201)
  })

  it('revoked: unknown from then on, and its screens end', async () => {
    const link = await share()
    const made = await ticket(secretOf(link.url))
    const held = await ticket(secretOf(link.url))
    await watch(made.body.ticket)
    const stream = api.tunnel.opened.at(-1)!.id
    expect((await api.call('DELETE', `/v1/sessions/${id}/links/${link.id}`, { token: owner })).status).toBe(204)
    expect(api.tunnel.ended.at(-1)).toMatchObject({ streams: [stream], word: 'revoked' })
    expect((await open(secretOf(link.url))).status).toBe(404)
    expect(await watch(held.body.ticket)).toBe(401)
    expect(
      (await api.call('GET', `/v1/sessions/${id}/links`, { token: owner })).body.data.map((l: { id: string }) => l.id),
    ).not.toContain(link.id)
  })

  it('ends with its time and with the token that made it', async () => {
    const late = await share()
    await api.db
      .update(links)
      .set({ expires_at: sql`clock_timestamp() - interval '1 ms'` as never })
      .where(eq(links.id, late.id))
    expect((await open(secretOf(late.url))).status).toBe(404)
    const friend = await api.mint({ project: owner.project, scopes: ['sessions:connect'] })
    const theirs = (await api.call('POST', `/v1/sessions/${id}/links`, { token: friend, body: {} })).body
    expect((await open(secretOf(theirs.url))).status).toBe(200)
    await api.db
      .update(tokens)
      .set({ revoked_at: sql`clock_timestamp()` as never })
      .where(eq(tokens.id, friend.id))
    expect((await open(secretOf(theirs.url))).status).toBe(404)
  })

  it('leaves no secret in the database', async () => {
    const link = await share()
    const [dump] = await api.db.execute<{ all: string }>(sql`select string_agg(l::text, ' ') as all from links l`)
    expect(dump!.all).not.toContain(secretOf(link.url).slice(8, 40))
  })

  it.each([{ role: 'admin' }, { ttl_seconds: 0 }, { max_viewers: 0 }, { ttl_seconds: 2 ** 31 }])('refuses %j', async body => {
    expect((await api.call('POST', `/v1/sessions/${id}/links`, { token: owner, body })).status).toBe(422)
  })

  it.each(['', 'x', 'vnc-lk-short', `vnc-lk-${'a'.repeat(49)}`])('a made-up link %j is 404', async secret => {
    expect((await open(secret)).status).toBe(404)
  })
})
