import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, web_sessions } from '#db/schema.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'

let api: ApiFixture
let ann: Minted
beforeAll(async () => {
  api = await apiFixture()
  const project = await api.project({ max_sessions: 3, max_cpu_millis: 4000, max_memory_bytes: 8 * 1024 ** 3 })
  ann = await api.mint({ project, user: 'ann', scopes: ['sessions:read', 'tokens'] })
})
afterAll(() => api?.close())

const login = (body: unknown, headers: Record<string, string> = {}, fixture = api) =>
  fixture.call('POST', '/v1/auth/login', { body, headers })

async function cookie(fixture = api, token = ann): Promise<string> {
  const answer = await login({ token: token.token }, { origin }, fixture)
  expect(answer.status).toBe(200)
  return answer.headers.get('set-cookie')!.split(';')[0]!
}

describe('GET /v1/me', () => {
  it('tells project, user, token, scopes, limits and what is left', async () => {
    const { status, body } = await api.call('GET', '/v1/me', { token: ann })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      object: 'me',
      project: { id: ann.project, object: 'project' },
      user: 'ann',
      token: { id: ann.id, scopes: ['sessions:read', 'tokens'], last4: ann.token.slice(-4) },
      scopes: ['sessions:read', 'tokens'],
      limits: { max_sessions: 3, max_cpu: '4', max_memory: '8Gi', max_storage: null },
      usage: { sessions: 0, cpu: '0', memory: '0', storage: '0', jobs: 0, streams: 0 },
      remaining: { max_sessions: 3, max_cpu: '4', max_memory: '8Gi', max_storage: null, requests_per_minute: 600 },
    })
    expect(JSON.stringify(body)).not.toContain(ann.token)
  })
})

describe('login', () => {
  it('gives an opaque cookie that acts as the token; only its digest is stored', async () => {
    const answer = await login({ token: ann.token }, { origin })
    expect(answer.body).toMatchObject({ object: 'me', user: 'ann' })
    const line = answer.headers.get('set-cookie')!
    expect(line).toMatch(/^porthole=vnc-se-[0-9A-Za-z]{49}; HttpOnly; SameSite=Strict; Path=\/; Max-Age=604800$/)
    const value = line.split(';')[0]!
    expect((await api.call('GET', '/v1/me', { headers: { cookie: value } })).body.user).toBe('ann')
    const dump = await api.db.execute(sql`select json_agg(w)::text as everything from web_sessions w`)
    expect(String(dump[0]!.everything)).not.toContain(value.slice('porthole=vnc-se-'.length))
    expect((await api.db.select().from(audit).where(eq(audit.action, 'auth.login')).orderBy(audit.seq)).at(-1)).toMatchObject({
      token_id: ann.id,
    })
  })

  it.each([
    ['https://porthole.example', true],
    ['http://127.0.0.1:8080', true],
    ['http://localhost:8080', true],
    ['http://[::1]:8080', true],
    ['http://10.0.0.5:8080', false],
    ['http://127.evil.example', false],
  ])('at %s the cookie is __Host- and Secure: %s', async (publicUrl, secure) => {
    const there = await apiFixture({ publicUrl })
    const token = await there.mint({ user: 'ann' })
    const line = (await login({ token: token.token }, {}, there)).headers.get('set-cookie')!
    expect(line.startsWith('__Host-porthole=')).toBe(secure)
    expect(line.includes('; Secure')).toBe(secure)
    expect(line).toContain('HttpOnly; SameSite=Strict; Path=/')
    expect(line).not.toContain('Domain')
    await there.close()
  })

  it.each([
    'https://evil.example',
    'null',
    `${origin}.evil.example`,
    `${origin}:81`,
    origin.toUpperCase(),
    origin.replace('http', 'https'),
    '',
  ])('from the page %j is refused', async from => {
    expect((await login({ token: ann.token }, { origin: from })).status).toBe(403)
  })

  it('works without an Origin, from an allowed one, and over a cookie that is over', async () => {
    const wide = await apiFixture({ allowedOrigins: ['https://dash.example'] })
    const token = await wide.mint({ user: 'ann' })
    expect((await login({ token: token.token }, {}, wide)).status).toBe(200)
    expect((await login({ token: token.token }, { origin: 'https://dash.example' }, wide)).status).toBe(200)
    expect((await login({ token: token.token }, { cookie: 'porthole=rubbish' }, wide)).status).toBe(200)
    await wide.close()
  })

  it('refuses bad tokens like everywhere, and other secrets', async () => {
    const seen = new Set<string>()
    const value = (await cookie()).split('=')[1]!
    for (const token of ['', 'x', ann.token.slice(0, -1), value]) {
      const answer = await login({ token })
      expect(answer.status).toBe(401)
      expect(answer.headers.get('set-cookie')).toBeNull()
      seen.add(JSON.stringify({ ...answer.body, request_id: '' }))
    }
    expect(seen.size).toBe(1)
    expect((await login({})).status).toBe(422)
    expect((await login({ token: 5 })).status).toBe(422)
    // A cookie's value is no Bearer, a token is no cookie.
    expect((await api.call('GET', '/v1/me', { token: value })).status).toBe(401)
    expect((await api.call('GET', '/v1/me', { headers: { cookie: `porthole=${ann.token}` } })).status).toBe(401)
  })
})

describe('the cookie', () => {
  const make = (headers: Record<string, string>) => api.call('POST', '/v1/tokens', { body: { name: 'x' }, headers })

  it('changes things only from a page of ours', async () => {
    const value = await cookie()
    expect((await make({ cookie: value, origin })).status).toBe(201)
    for (const from of [undefined, 'https://evil.example', 'null', `${origin}.evil`]) {
      const answer = await make({ cookie: value, ...(from === undefined ? {} : { origin: from }) })
      expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    }
    expect((await api.call('GET', '/v1/me', { headers: { cookie: value, origin: 'https://evil.example' } })).status).toBe(200)
  })

  it('ends by logging out, here at once, and only that one', async () => {
    const [first, second] = [await cookie(), await cookie()]
    const me = async (value: string) => (await api.call('GET', '/v1/me', { headers: { cookie: value } })).status
    expect(await me(first)).toBe(200)
    expect(
      (await api.call('POST', '/v1/auth/logout', { headers: { cookie: first, origin: 'https://evil.example' } })).status,
    ).toBe(403)
    const out = await api.call('POST', '/v1/auth/logout', { headers: { cookie: first, origin } })
    expect(out.status).toBe(204)
    expect(out.headers.getSetCookie().map(line => line.split('=')[0])).toEqual(['__Host-porthole', 'porthole'])
    expect(out.headers.getSetCookie().every(line => line.includes('Max-Age=0'))).toBe(true)
    expect(await me(first)).toBe(401)
    expect(await me(second)).toBe(200)
    expect((await api.call('POST', '/v1/auth/logout', { headers: { cookie: first, origin } })).status).toBe(204)
    expect((await api.call('POST', '/v1/auth/logout')).status).toBe(204)
  })

  it('ends with its token', async () => {
    const token = await api.mint({ user: 'bob' })
    const value = await cookie(api, token)
    await api.call('DELETE', `/v1/tokens/${token.id}`, { token: api.admin })
    expect((await api.call('GET', '/v1/me', { headers: { cookie: value } })).status).toBe(401)
  })

  it('ends after 12 h idle and 7 d at the latest; use moves the idle end, at most once a minute', async () => {
    const token = await api.mint({ user: 'cid' })
    const value = await cookie(api, token)
    const row = async () => (await api.db.select().from(web_sessions).where(eq(web_sessions.token_id, token.id)))[0]!
    const use = async () => {
      api.auth.forget(token.id)
      return (await api.call('GET', '/v1/me', { headers: { cookie: value } })).status
    }
    const set = (column: string, ms: number) =>
      api.db.execute(sql`update web_sessions set ${sql.identifier(column)} = clock_timestamp() + ${ms}::float8 * interval '1 millisecond'
        where token_id = ${token.id}`)
    const hours = (at: Date) => (at.getTime() - Date.now()) / 3_600_000
    const fresh = await row()
    expect(hours(fresh.idle_expires_at)).toBeCloseTo(12, 1)
    expect(hours(fresh.expires_at)).toBeCloseTo(168, 1)

    await use()
    await api.settled()
    expect((await row()).idle_expires_at).toEqual(fresh.idle_expires_at)
    await set('idle_expires_at', 3_600_000)
    expect(await use()).toBe(200)
    await api.settled()
    expect(hours((await row()).idle_expires_at)).toBeCloseTo(12, 1)

    await set('expires_at', 3_600_000)
    await set('idle_expires_at', 1_800_000)
    await use()
    await api.settled()
    expect(hours((await row()).idle_expires_at)).toBeCloseTo(1, 1)

    await set('idle_expires_at', -1)
    expect(await use()).toBe(401)
    await set('idle_expires_at', 3_600_000)
    await set('expires_at', -1)
    expect(await use()).toBe(401)
  })
})
