/** Tickets, grants and the doors to streams, over real Postgres; what flows through them is the tunnel's own tests. */
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, grants, sessions, tickets, tokens } from '#db/schema.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

let api: ApiFixture
let cluster: FakeCluster
let token: Minted
let id: string
beforeAll(async () => {
  api = await apiFixture()
  await loadBuiltinTemplates(api.db)
  cluster = await new FakeCluster(api).connect()
  token = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'sessions:connect'] })
  const made = await api.call('POST', '/v1/sessions', { token, body: { template: 'chromium' } })
  expect(made.status, JSON.stringify([made.body, api.logged])).toBe(201)
  id = made.body.id
  await cluster.report([{ id, phase: 'running' }])
})
afterAll(() => api.close())

const ticket = (body: object, as = token) => api.call('POST', `/v1/sessions/${id}/tickets`, { token: as, body })
/** The stub tunnel answers 503 cluster_offline to whatever was let through to it. */
const open = async (path: string, headers: Record<string, string> = {}) => {
  const response = await api.app.request(`${origin}/v1/sessions/${id}/${path}`, {
    headers: { upgrade: 'websocket', connection: 'Upgrade', ...headers },
  })
  return { status: response.status, body: (await response.json()) as { code: string; detail: string } }
}
const letThrough = { status: 503, body: { code: 'cluster_offline' } }
const bearer = (minted: Minted) => ({ authorization: `Bearer ${minted.token}` })

describe('tickets', () => {
  it('64 redemptions at once: exactly one gets through', async () => {
    const made = await ticket({ stream: 'vnc' })
    expect(made.status).toBe(201)
    expect(made.body.url).toBe(`${origin.replace('http', 'ws')}/v1/sessions/${id}/vnc`)
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => open('vnc', { 'sec-websocket-protocol': `binary, ticket.${made.body.ticket}`, origin })),
    )
    expect(answers.filter(answer => answer.status === 503)).toHaveLength(1)
    expect(answers.filter(answer => answer.status === 401)).toHaveLength(63)
  })

  it('opens only the stream it was made for, with its role, and expires', async () => {
    const { ticket: view } = (await ticket({ stream: 'vnc', role: 'view' })).body
    expect((await open(`playwright?ticket=${view}`)).status).toBe(401)
    expect(await open(`vnc?ticket=${view}`)).toMatchObject(letThrough)
    expect(api.tunnel.opened.at(-1)).toMatchObject({ kind: 'vnc', role: 'view', session: id })
    const { ticket: late } = (await ticket({ stream: 'vnc' })).body
    await api.db
      .update(tickets)
      .set({ expires_at: sql`clock_timestamp() - interval '1 ms'` as never })
      .where(sql`used_at is null`)
    expect((await open(`vnc?ticket=${late}`)).status).toBe(401)
  })

  it('dies with the token that made it', async () => {
    const doomed = await api.mint({ project: token.project, scopes: ['sessions:connect'] })
    const { ticket: orphan } = (await ticket({ stream: 'vnc' }, doomed)).body
    await api.db
      .update(tokens)
      .set({ revoked_at: sql`clock_timestamp()` as never })
      .where(eq(tokens.id, doomed.id))
    expect((await open(`vnc?ticket=${orphan}`)).status).toBe(401)
  })

  it('is not made for a stream the session will never have', async () => {
    expect(await ticket({ stream: 'port', port: 9999 })).toMatchObject({ status: 404, body: { code: 'not_found' } })
    const desk = await api.call('POST', '/v1/sessions', { token, body: { template: 'desktop' } })
    const cdp = await api.call('POST', `/v1/sessions/${desk.body.id}/tickets`, { token, body: { stream: 'cdp' } })
    expect([cdp.status, cdp.body.code]).toEqual([409, 'conflict'])
  })

  it('stores no secret', async () => {
    const { ticket: secret } = (await ticket({ stream: 'cdp' })).body
    const [dump] = await api.db.execute<{ all: string }>(sql`select string_agg(t::text, ' ') as all from tickets t`)
    expect(dump!.all).not.toContain(secret.slice(8, 30))
  })

  it.each([[{ stream: 'port' }], [{ stream: 'vnc', port: 80 }], [{ stream: 'cdp', role: 'view' }], [{ stream: 'telnet' }], [{}]])(
    'refuses %j',
    async body => {
      expect((await ticket(body)).status).toBe(422)
    },
  )
})

describe('the doors', () => {
  it('a Bearer token with sessions:connect passes; grant and audit rows are written', async () => {
    expect(await open('cdp', bearer(token))).toMatchObject(letThrough)
    const grant = api.tunnel.opened.at(-1)!
    const [row] = await api.db.select().from(grants).where(eq(grants.id, grant.id))
    expect(row).toMatchObject({ session_id: id, token_id: token.id, kind: 'cdp', role: 'control', replica_id: 'rep_test' })
    const rows = await api.db.select().from(audit).where(sql`action = 'stream.open' and detail ->> 'stream' = ${grant.id}`)
    expect(rows).toHaveLength(1)
  })

  it('passes on only the headers that matter to Playwright', async () => {
    await open('playwright', {
      ...bearer(token),
      'user-agent': 'Playwright/1.65.1',
      cookie: 'a=b',
      'x-playwright-browser': 'chromium',
    })
    expect(api.tunnel.opened.at(-1)!.target).toEqual({
      headers: { 'user-agent': 'Playwright/1.65.1', 'x-playwright-browser': 'chromium' },
    })
  })

  it.each([
    ['no token', {}, '', 401],
    ['a token in the URL', {}, '?token=TOKEN', 401],
    ['a token as ticket', {}, '?ticket=TOKEN', 401],
    ['another origin', { origin: 'https://evil.example' }, '', 403],
    ['an origin that begins like ours', { origin: `${'http://porthole.test'}.evil` }, '', 403],
    ['origin null', { origin: 'null' }, '', 403],
  ])('refuses %s', async (_, headers, query, status) => {
    const auth: Record<string, string> = 'origin' in headers ? bearer(token) : {}
    expect((await open(`vnc${query.replace('TOKEN', token.token)}`, { ...auth, ...headers })).status).toBe(status)
  })

  it('lacking the scope is 403, plain HTTP is 426, an undeclared port 404', async () => {
    const weak = await api.mint({ project: token.project, scopes: ['sessions:read'] })
    expect((await open('vnc', bearer(weak))).status).toBe(403)
    expect((await api.call('GET', `/v1/sessions/${id}/vnc`, { token })).status).toBe(426)
    expect((await open('ports/22', bearer(token))).status).toBe(404)
  })

  it('a session that is not running says so', async () => {
    const other = (await api.call('POST', '/v1/sessions', { token, body: { template: 'chromium' } })).body.id
    await api.db
      .update(sessions)
      .set({ status: 'failed', ended_at: sql`clock_timestamp()` as never, status_reason: 'It broke.' })
      .where(eq(sessions.id, other))
    const answer = await api.call('GET', `/v1/sessions/${other}/screenshot`, { token })
    expect(answer.body).toMatchObject({ status: 409, code: 'session_not_running', detail: expect.stringContaining('It broke.') })
  })

  it('files come back as downloads of no type that a browser would run', async () => {
    api.tunnel.http = () =>
      new Response('<script>1</script>', {
        headers: { 'content-type': 'text/html', 'set-cookie': 'x=1', 'content-length': '18' },
      })
    const response = await api.app.request(`${origin}/v1/sessions/${id}/files/a%20b/x.html`, { headers: bearer(token) })
    expect(api.tunnel.opened.at(-1)!.target.request).toMatchObject({ method: 'GET', path: '/files/a%20b/x.html' })
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
    })
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(await response.text()).toBe('<script>1</script>')
  })

  it('the host’s errors become problems', async () => {
    api.tunnel.http = () => new Response(JSON.stringify({ code: 'not_found', detail: 'No such file: x' }), { status: 404 })
    expect((await api.call('GET', `/v1/sessions/${id}/files/x`, { token })).body).toMatchObject({
      status: 404,
      code: 'not_found',
      detail: 'No such file: x',
    })
    api.tunnel.http = () => new Response('oops', { status: 500 })
    expect((await api.call('GET', `/v1/sessions/${id}/screenshot`, { token })).body).toMatchObject({
      status: 502,
      code: 'target_refused',
    })
  })
})
