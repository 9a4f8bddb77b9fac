import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { audit, events, grants, tokens, web_sessions } from '#db/schema.ts'
import { scopes as allScopes, type Scope } from '../context.ts'
import { newId } from '../ids.ts'
import { type ApiFixture, apiFixture, type Minted } from '../testing/api-fixture.ts'
import { mintUserToken } from './format.ts'

let api: ApiFixture
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
})
afterAll(() => api?.close())

const create = (token: Minted, body: unknown) => api.call('POST', '/v1/tokens', { token, body })
const works = async (token: string) => (await api.call('GET', '/v1/me', { token })).status === 200
const days = (iso: string) => (new Date(iso).getTime() - Date.now()) / 86_400_000

async function openGrant(token: string, project: string): Promise<string> {
  const id = newId('str')
  await api.db.insert(grants).values({
    id,
    project_id: project,
    session_id: 'ses_x',
    cluster_id: 'clu_x',
    token_id: token,
    user_id: 'ann',
    kind: 'vnc',
    role: 'control',
    replica_id: 'rep_test',
    key_hash: new Uint8Array(32),
  })
  return id
}

describe('making tokens', () => {
  it('gives the secret once, no scopes unless named, 90 days', async () => {
    const made = await create(api.admin, { name: 'ci' })
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ object: 'token', user: 'root', project: api.admin.project, scopes: [], status: 'active' })
    expect(made.body.token.slice(-4)).toBe(made.body.last4)
    expect(days(made.body.expires_at)).toBeCloseTo(90, 1)
    expect(await works(made.body.token)).toBe(true)
    const shown = await api.call('GET', `/v1/tokens/${made.body.id}`, { token: api.admin })
    expect(shown.body).toEqual({ ...made.body, token: undefined })
    const secret = made.body.token.split('-').at(-1)!.slice(0, 43)
    const stored =
      await api.db.execute(sql`select (select json_agg(t) from tokens t)::text || (select json_agg(a) from audit a)::text
      || (select json_agg(e) from events e)::text as everything`)
    expect(String(stored[0]!.everything)).toContain(made.body.id)
    expect(String(stored[0]!.everything)).not.toContain(secret)
  })

  it('needs no name', async () => {
    const { status, body } = await create(api.admin, {})
    expect([status, body.name, body.scopes]).toEqual([201, 'unnamed', []])
  })

  it('writes an audit row and an event that tells only the id', async () => {
    const { body } = await create(api.admin, { name: 'noted', scopes: ['sessions:read'] })
    const [row] = await api.db.select().from(audit).where(eq(audit.target, body.id))
    expect(row).toMatchObject({ action: 'token.create', actor: 'root', token_id: api.admin.id, outcome: 'ok' })
    const told = (await api.db.select().from(events)).filter(event => JSON.stringify(event.data).includes(body.id))
    expect(told.map(event => event.data)).toEqual([{ token: { id: body.id, object: 'token' } }])
  })

  it.each<[string, unknown, string]>([
    ['an empty name', { name: '' }, '/name'],
    ['a name of a megabyte', { name: 'x'.repeat(1_000_000) }, '/name'],
    ['a control character', { name: 'a\u0007b' }, '/name'],
    ['an unknown scope', { name: 'x', scopes: ['root'] }, '/scopes/0'],
    ['scopes as a word', { name: 'x', scopes: 'admin' }, '/scopes'],
    ['a user with a dash', { name: 'x', user: 'a-b' }, '/user'],
    ['a user in upper case', { name: 'x', user: 'Ann' }, '/user'],
    ['an empty user', { name: 'x', user: '' }, '/user'],
    ['a project that is not', { name: 'x', project: 'prj_none' }, '/project'],
    ['no life', { name: 'x', expires_in_seconds: 0 }, '/expires_in_seconds'],
    ['a negative life', { name: 'x', expires_in_seconds: -1 }, '/expires_in_seconds'],
    ['half a second', { name: 'x', expires_in_seconds: 0.5 }, '/expires_in_seconds'],
    ['more than a year', { name: 'x', expires_in_seconds: 366 * 86_400 }, '/expires_in_seconds'],
    ['2^31', { name: 'x', expires_in_seconds: 2 ** 31 }, '/expires_in_seconds'],
    ['a time that is over', { name: 'x', expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
    ['a time too far', { name: 'x', expires_at: '2099-01-01T00:00:00Z' }, '/expires_at'],
    ['no time at all', { name: 'x', expires_at: 'tomorrow' }, '/expires_at'],
    ['two ends', { name: 'x', expires_in_seconds: 60, expires_at: '2027-01-01T00:00:00Z' }, '/expires_at'],
    ['a field nobody knows', { name: 'x', lifetime: 60 }, '/lifetime'],
  ])('refuses %s and points at it', async (_, body, pointer) => {
    const answer = await create(api.admin, body)
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid' } })
    expect(answer.body.errors[0].pointer).toBe(pointer)
  })

  it.each<[string, RequestInit & { body: string }, number]>([
    ['JSON that is not', { body: '{"name":', headers: { 'content-type': 'application/json' } }, 400],
    ['a form', { body: 'name=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['no type', { body: '{}', headers: { 'content-type': '', 'content-length': '2' } }, 415],
    [
      'two megabytes',
      { body: JSON.stringify({ name: 'x'.repeat(2_000_000) }), headers: { 'content-type': 'application/json' } },
      413,
    ],
    ['depth 10 000', { body: '['.repeat(10_000) + ']'.repeat(10_000), headers: { 'content-type': 'application/json' } }, 422],
    [
      'a prototype',
      { body: '{"name":"x","__proto__":{"scopes":["admin"]}}', headers: { 'content-type': 'application/json' } },
      422,
    ],
  ])('answers %s with a clean refusal', async (_, init, status) => {
    const answer = await api.call('POST', '/v1/tokens', {
      token: api.admin,
      body: init.body,
      headers: init.headers as Record<string, string>,
    })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  })
})

describe('never stronger, longer or foreign', () => {
  let ann: Minted
  const own: Scope[] = ['tokens', 'sessions:read', 'sessions:write']
  beforeAll(async () => {
    ann = await api.mint({ user: 'ann', scopes: own, expiresAt: new Date(Date.now() + 10 * 86_400_000) })
  })

  it.each(allScopes)('scope %s: only what the token holds itself', async scope => {
    const { status, body } = await create(ann, { name: 'x', scopes: [scope] })
    expect(status).toBe(own.includes(scope) ? 201 : 403)
    if (status === 403) expect(body.code).toBe('forbidden')
  })

  it('ends no later than the maker, also by default', async () => {
    const { body } = await create(ann, { name: 'x' })
    expect(days(body.expires_at)).toBeCloseTo(10, 1)
    expect((await create(ann, { name: 'x', expires_in_seconds: 11 * 86_400 })).status).toBe(403)
    expect((await create(ann, { name: 'x', expires_in_seconds: 9 * 86_400 })).status).toBe(201)
    const admin = await api.mint({ scopes: ['admin'], expiresAt: new Date(Date.now() + 86_400_000) })
    expect((await create(admin, { name: 'x', expires: 'never' })).status).toBe(403)
  })

  it('never expires only by an admin who never does', async () => {
    for (const wish of [{ expires_in_seconds: null }, { expires_at: null }, { expires: 'never' }]) {
      expect((await create(ann, { name: 'x', ...wish })).status).toBe(403)
      expect((await create(api.admin, { name: 'x', ...wish })).body.expires_at).toBeNull()
    }
  })

  it('is for oneself unless an admin makes it', async () => {
    const other = await api.project()
    expect((await create(ann, { name: 'x', user: 'bob' })).status).toBe(403)
    expect((await create(ann, { name: 'x', project: other })).status).toBe(403)
    expect((await create(ann, { name: 'x', project: 'prj_none' })).status).toBe(403)
    const made = await create(api.admin, { name: 'x', user: 'bob', project: other, scopes: ['exec'] })
    expect(made.body).toMatchObject({ user: 'bob', project: other, scopes: ['exec'] })
    expect((await api.call('GET', '/v1/me', { token: made.body.token })).body).toMatchObject({
      user: 'bob',
      project: { id: other },
    })
  })

  it('a project sees and ends only its own', async () => {
    const eve = await api.mint({ user: 'eve', scopes: ['tokens'] })
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/rotate'],
    ] as const) {
      const foreign = await api.call(method, `/v1/tokens/${ann.id}${path}`, { token: eve })
      const missing = await api.call(method, `/v1/tokens/tok_none${path}`, { token: eve })
      expect(foreign.status).toBe(404)
      expect({ ...foreign.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' })
    }
    expect(await works(ann.token)).toBe(true)
    const seen = await api.call('GET', `/v1/tokens?project=${ann.project}`, { token: eve })
    expect(seen.body.data).toEqual([])
    expect((await api.call('GET', '/v1/tokens', { token: eve })).body.data.map((t: { id: string }) => t.id)).toEqual([eve.id])
  })

  it('rotation is minting: not of a stronger token, nor of another user’s, nor of an admin’s', async () => {
    const stronger = await api.mint({ project: ann.project, user: 'ann', scopes: ['exec'] })
    const others = await api.mint({ project: ann.project, user: 'bob', scopes: [] })
    const admins = await api.mint({ project: ann.project, user: 'ann', scopes: ['admin'] })
    for (const token of [stronger, others, admins]) {
      expect((await api.call('POST', `/v1/tokens/${token.id}/rotate`, { token: ann })).status).toBe(403)
    }
    expect((await api.call('DELETE', `/v1/tokens/${admins.id}`, { token: ann })).status).toBe(403)
    expect((await api.call('DELETE', `/v1/tokens/${others.id}`, { token: ann })).status).toBe(204)
  })
})

describe('rotation', () => {
  it('gives a like token; the older one lives through its grace and no longer', async () => {
    const old = await api.mint({ user: 'ann', scopes: ['tokens', 'sessions:read'] })
    const rotated = await api.call('POST', `/v1/tokens/${old.id}/rotate`, { token: old, body: { grace_seconds: 3600 } })
    expect(rotated.status).toBe(201)
    expect(rotated.body).toMatchObject({
      user: 'ann',
      scopes: ['tokens', 'sessions:read'],
      rotated_from: old.id,
      status: 'active',
    })
    expect(await works(old.token)).toBe(true)
    expect(await works(rotated.body.token)).toBe(true)
    const shown = await api.call('GET', `/v1/tokens/${old.id}`, { token: rotated.body.token })
    expect(shown.body.status).toBe('rotated')
    await api.db.update(tokens).set({ grace_until: sql`clock_timestamp() - interval '1 ms'` }).where(eq(tokens.id, old.id))
    api.auth.forget(old.id)
    expect(await works(old.token)).toBe(false)
    expect(await works(rotated.body.token)).toBe(true)
  })

  it('grace never goes beyond the older one’s own end, and the newer one lives no longer than it', async () => {
    const end = new Date(Date.now() + 60_000)
    const old = await api.mint({ user: 'ann', scopes: ['tokens'], expiresAt: end })
    const rotated = await api.call('POST', `/v1/tokens/${old.id}/rotate`, { token: api.admin, body: { grace_seconds: 3600 } })
    const shown = await api.call('GET', `/v1/tokens/${old.id}`, { token: api.admin })
    expect(shown.body.grace_until).toBe(shown.body.expires_at)
    expect(rotated.body.expires_at).toBe(shown.body.expires_at)
  })

  it('without grace the older one ends at once, with its streams', async () => {
    const old = await api.mint({ user: 'ann', scopes: ['tokens'] })
    const stream = await openGrant(old.id, old.project)
    expect(await works(old.token)).toBe(true)
    expect((await api.call('POST', `/v1/tokens/${old.id}/rotate`, { token: old })).status).toBe(201)
    expect(await works(old.token)).toBe(false)
    expect(api.tunnel.ended.at(-1)).toMatchObject({ streams: [stream], word: 'token_ended' })
  })

  it('happens once, and not to what has ended; 20 racers make one newer token', async () => {
    const old = await api.mint({ user: 'ann', scopes: ['tokens'] })
    const rotate = () => api.call('POST', `/v1/tokens/${old.id}/rotate`, { token: api.admin, body: { grace_seconds: 60 } })
    const answers = await Promise.all(Array.from({ length: 20 }, rotate))
    expect(answers.map(a => a.status).filter(status => status === 201)).toHaveLength(1)
    expect(new Set(answers.map(a => a.status))).toEqual(new Set([201, 409]))
    const expired = await api.mint({ user: 'ann', expiresAt: new Date(Date.now() - 1000) })
    expect((await api.call('POST', `/v1/tokens/${expired.id}/rotate`, { token: api.admin })).status).toBe(409)
  })

  it.each([-1, 7 * 86_400 + 1, 1.5, '60'])('refuses %j seconds of grace', async grace_seconds => {
    const old = await api.mint({ user: 'ann' })
    const answer = await api.call('POST', `/v1/tokens/${old.id}/rotate`, { token: api.admin, body: { grace_seconds } })
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '/grace_seconds' }] } })
  })
})

describe('revocation', () => {
  it('ends requests at once here, cookies, and open streams; the row stays; again changes nothing', async () => {
    const token = await api.mint({ user: 'ann' })
    const stream = await openGrant(token.id, token.project)
    expect(await works(token.token)).toBe(true)
    await api.db.insert(web_sessions).values({
      hash: crypto.getRandomValues(new Uint8Array(32)),
      token_id: token.id,
      expires_at: new Date(Date.now() + 1e6),
      idle_expires_at: new Date(Date.now() + 1e6),
    })
    expect((await api.call('DELETE', `/v1/tokens/${token.id}`, { token: api.admin })).status).toBe(204)
    expect(await works(token.token)).toBe(false)
    expect(api.tunnel.ended.at(-1)).toEqual({ streams: [stream], word: 'token_ended', reason: 'the token ended' })
    expect(await api.db.select().from(web_sessions).where(eq(web_sessions.token_id, token.id))).toEqual([])
    const first = await api.call('GET', `/v1/tokens/${token.id}`, { token: api.admin })
    expect(first.body.status).toBe('revoked')
    expect((await api.call('DELETE', `/v1/tokens/${token.id}`, { token: api.admin })).status).toBe(204)
    expect((await api.call('GET', `/v1/tokens/${token.id}`, { token: api.admin })).body).toEqual(first.body)
    expect(await api.db.select().from(audit).where(eq(audit.target, token.id))).toHaveLength(1)
  })

  it('another replica’s cache lasts five seconds, and there is no negative cache', async () => {
    const { Authenticator } = await import('../auth.ts')
    let now = Date.now()
    const replica = new Authenticator(() => now)
    const token = await api.mint({ user: 'ann' })
    const request = new Request('http://porthole.test/v1/me', { headers: { authorization: `Bearer ${token.token}` } })
    const ctx = api.ctx(token, [])
    await expect(replica.actor(request, ctx)).resolves.toMatchObject({ token: token.id })
    await api.call('DELETE', `/v1/tokens/${token.id}`, { token: api.admin })
    now += 4_999
    await expect(replica.actor(request, ctx)).resolves.toMatchObject({ token: token.id })
    now += 2
    await expect(replica.actor(request, ctx)).rejects.toMatchObject({ code: 'unauthorized' })
    await api.db.update(tokens).set({ revoked_at: null }).where(eq(tokens.id, token.id))
    await expect(replica.actor(request, ctx)).resolves.toMatchObject({ token: token.id })
  })

  it('leaked takes the family, whichever member is named, and nobody else', async () => {
    const a = await api.mint({ user: 'ann' })
    const rotate = async (id: string) =>
      (await api.call('POST', `/v1/tokens/${id}/rotate`, { token: api.admin, body: { grace_seconds: 60 } })).body
    const b = await rotate(a.id)
    const c = await rotate(b.id)
    const bystander = await api.mint({ project: a.project, user: 'ann' })
    for (const token of [a.token, b.token, c.token, bystander.token]) expect(await works(token)).toBe(true)
    await api.call('DELETE', `/v1/tokens/${b.id}?reason=leaked`, { token: api.admin })
    for (const token of [a.token, b.token, c.token]) expect(await works(token)).toBe(false)
    expect(await works(bystander.token)).toBe(true)
  })
})

describe('every bad token gets the same 401', () => {
  it('whatever the cause', async () => {
    const good = await api.mint({ user: 'ann' })
    const revoked = await api.mint({ user: 'ann' })
    await api.call('DELETE', `/v1/tokens/${revoked.id}`, { token: api.admin })
    const expired = await api.mint({ user: 'ann', expiresAt: new Date(Date.now() - 1) })
    const suspended = await api.mint({ user: 'ann' })
    await api.call('PATCH', `/v1/projects/${suspended.project}`, { token: api.admin, body: { suspended: true } })
    const causes = {
      unknown: mintUserToken(good.project, 'ann'),
      foreign: mintUserToken('prj_other', 'ann'),
      typo: `${good.token.slice(0, -1)}${good.token.endsWith('0') ? '1' : '0'}`,
      malformed: 'vnc-sk-proj-',
      revoked: revoked.token,
      expired: expired.token,
      suspended: suspended.token,
    }
    const bodies = new Set<string>()
    for (const token of Object.values(causes)) {
      const { status, body, headers } = await api.call('GET', '/v1/me', { token })
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toBe('Bearer')
      bodies.add(JSON.stringify({ ...body, request_id: '' }))
    }
    expect(bodies.size).toBe(1)
    expect(await works(good.token)).toBe(true)
  })

  it('a token in the query or the body is none', async () => {
    const good = await api.mint({ user: 'ann' })
    expect((await api.call('GET', `/v1/me?token=${good.token}&access_token=${good.token}`)).status).toBe(401)
  })
})

describe('last used', () => {
  it('is written to the minute, in one statement, and never goes back', async () => {
    const used = await api.mint({ user: 'ann' })
    await works(used.token)
    await api.auth.flushUses({ db: api.db })
    const seen = (await api.call('GET', `/v1/tokens/${used.id}`, { token: api.admin })).body.last_used_at
    expect(new Date(seen).getTime() % 60_000).toBe(0)
    const later = new Date(Date.now() + 3_600_000)
    await api.db.update(tokens).set({ last_used_at: later }).where(eq(tokens.id, used.id))
    await works(used.token)
    await api.auth.flushUses({ db: api.db })
    expect((await api.call('GET', `/v1/tokens/${used.id}`, { token: api.admin })).body.last_used_at).toBe(later.toISOString())
  })
})

describe('lists', () => {
  it('page through all, newest first, without repeats, filtered', async () => {
    const ann = await api.mint({ user: 'ann', scopes: ['tokens'] })
    const made = [ann.id]
    for (let i = 0; i < 6; i++) made.unshift((await create(ann, { name: `t${i}` })).body.id)
    await api.call('DELETE', `/v1/tokens/${made[0]}`, { token: ann })
    const seen: string[] = []
    let cursor = ''
    do {
      const { body } = await api.call('GET', `/v1/tokens?limit=3${cursor && `&cursor=${cursor}`}`, { token: ann })
      seen.push(...body.data.map((t: { id: string }) => t.id))
      cursor = body.next_cursor
      expect(body.has_more).toBe(cursor !== null)
    } while (cursor)
    expect(seen).toEqual(made)
    const active = await api.call('GET', '/v1/tokens?status=active&limit=100', { token: ann })
    expect(active.body.data).toHaveLength(6)
    const ended = await api.call('GET', '/v1/tokens?status=ended', { token: ann })
    expect(ended.body.data.map((t: { id: string }) => t.id)).toEqual([made[0]])
  })

  it.each([
    'limit=0',
    'limit=-1',
    'limit=101',
    'limit=1.5',
    'limit=x',
    'cursor=x',
    'cursor=%00',
    'cursor=zzzzzzzzzzzz.tok_1',
    'status=all',
  ])('%s is refused', async query =>
    expect((await api.call('GET', `/v1/tokens?${query}`, { token: api.admin })).status).toBe(422),
  )
})
