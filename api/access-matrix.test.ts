/**
 * Every route of the app, taken from its own document, against every kind of caller. Who must not get through: the guard comes before anything is
 * read, so a route that is added is in that half by itself. Who may: own, another user's, another project's things, as `testing/access-rows.ts` says
 * of each route; one without a row fails here.
 */
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clusters } from '#db/schema.ts'
import { agentAudience } from '#protocol/agent-identity.ts'
import { type Scope, scopes } from './context.ts'
import { openApiDocument } from './docs/document.ts'
import { newId } from './ids.ts'
import { loadBuiltinTemplates } from './templates/builtin.ts'
import { type Kind, type Make, makers, pathOf, rows } from './testing/access-rows.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from './testing/api-fixture.ts'
import { capable, FakeCluster } from './testing/fake-cluster.ts'
import { mintSecret } from './tokens/format.ts'

interface Route {
  method: string
  path: string
  /** `GET /v1/sessions/{id}` */
  name: string
  access: string
}

let api: ApiFixture
let routes: Route[]
let cluster: FakeCluster
let nobody: Record<string, string>
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000, loginsPerMinute: 100_000 })
  const document = openApiDocument(api.app, { version: '0', origin: 'http://porthole.test' })
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, { 'x-access'?: string }>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === 'port' ? '80' : name === 'stream' ? 'vnc' : 'x')),
      name: `${method.toUpperCase()} ${path}`,
      access: operation['x-access'] ?? 'undeclared',
    })),
  )
  await loadBuiltinTemplates(api.db)
  cluster = await new FakeCluster(api).connect({ ...capable(1_000), features: ['display', 'volumes', 'exec'] })
  const revoked = await api.mint({ scopes: ['admin'] })
  await api.call('DELETE', `/v1/tokens/${revoked.id}`, { token: api.admin })
  nobody = {
    'no token': '',
    revoked: revoked.token,
    expired: (await api.mint({ scopes: ['admin'], expiresAt: new Date(Date.now() - 1) })).token,
    'a join token': mintSecret('join'),
    'a ticket': mintSecret('tk'),
    'a cookie’s value': mintSecret('se'),
    'a stream key': mintSecret('st'),
    'an agent’s key': await agentJwt(),
    'a stream’s ticket': await realTicket(),
    'a made-up JWT': `${btoa('{"alg":"EdDSA"}')}.${btoa('{}')}.x`,
  }
})
afterAll(() => api?.close())

/** Of an agent that enrolled: right for the link and for nothing else. */
async function agentJwt(): Promise<string> {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const agent = newId('agt')
  const { kty, crv, x } = await exportJWK(publicKey)
  const key = { kty: kty!, crv: crv!, x: x! }
  await api.db.insert(clusters).values({ id: newId('clu'), name: agent, agent_id: agent, agent_public_key: key })
  const now = Math.floor(Date.now() / 1000)
  return new SignJWT({ aud: agentAudience, iss: agent, iat: now, exp: now + 60 })
    .setProtectedHeader({ alg: 'EdDSA', kid: agent })
    .sign(privateKey)
}

async function realTicket(): Promise<string> {
  const id = await makers.session(api, api.admin, cluster)
  return (await api.call('POST', `/v1/sessions/${id}/tickets`, { token: api.admin, body: { stream: 'vnc' } })).body.ticket
}

const known = ['token', 'public', 'agent', 'ticket', ...scopes]
const call = (route: Route, token: string | Minted | undefined) =>
  api.call(route.method, route.path, { token: token === '' ? undefined : token, ...(route.method === 'GET' ? {} : { body: {} }) })

describe('the matrix', () => {
  it('has every route of the contract that exists, each with its access', () => {
    expect(routes.length).toBeGreaterThan(40)
    expect(routes.filter(route => !known.includes(route.access))).toEqual([])
    // What is open to anybody is short and known by heart.
    expect(
      routes
        .filter(route => route.access === 'public')
        .map(route => `${route.method} ${route.path}`)
        .sort(),
    ).toEqual([
      'GET /docs',
      'GET /health',
      'GET /metrics',
      'GET /openapi.json',
      'GET /ready',
      'POST /secret-scanning/github',
      'POST /v1/auth/login',
      'POST /v1/auth/logout',
      'POST /v1/hooks/x',
      'POST /v1/links/ask',
      'POST /v1/links/open',
      'POST /v1/links/tickets',
    ])
  })

  it('nobody gets through without a token that works', async () => {
    const through: string[] = []
    for (const route of routes.filter(route => route.access !== 'public')) {
      for (const [who, token] of Object.entries(nobody)) {
        const { status, headers } = await call(route, token)
        // An agent's key is right at the link, where the stub of a tunnel then says that it has none.
        const ownDoor = who === 'an agent’s key' && route.path === '/v1/agent/link' ? [503] : []
        const expected = route.access === 'agent' && !route.path.includes('/streams/') ? [401, 422, 426, ...ownDoor] : [401, 426]
        if (!expected.includes(status)) through.push(`${who}: ${route.method} ${route.path} ${status}`)
        if (status === 401 && !headers.get('content-type')?.includes('problem+json')) through.push(`no problem: ${route.path}`)
      }
    }
    expect(through).toEqual([])
  }, 60_000)

  it('nor without the scope, though with all others but admin', async () => {
    const through: string[] = []
    for (const scope of scopes) {
      const others = scopes.filter((other): other is Scope => other !== scope && other !== 'admin')
      const token = await api.mint({ scopes: others })
      for (const route of routes.filter(route => route.access === scope)) {
        const { status, body } = await call(route, token)
        if (status !== 403 || body.code !== 'forbidden') through.push(`${route.method} ${route.path} ${status} without ${scope}`)
      }
    }
    expect(through).toEqual([])
  })

  it('with the scope and no others the guard lets it pass', async () => {
    const held: string[] = []
    for (const scope of scopes) {
      const token = await api.mint({ scopes: [scope] })
      for (const route of routes.filter(route => route.access === scope && route.method !== 'GET')) {
        const { status, body } = await call(route, token)
        if (status === 401 || (status === 403 && /lacks the scope/.test(body.detail)))
          held.push(`${route.method} ${route.path} ${status}`)
      }
    }
    expect(held).toEqual([])
  })

  it('a ticket opens its own stream of its own session, and nothing else', async () => {
    const token = await api.mint({ scopes: ['sessions:read', 'sessions:write', 'sessions:connect'] })
    const [mine, other] = [await makers.session(api, token, cluster), await makers.session(api, token, cluster)]
    const ticket = async () =>
      (await api.call('POST', `/v1/sessions/${mine}/tickets`, { token, body: { stream: 'vnc' } })).body.ticket
    const open = async (path: string, value: string) =>
      (await api.call('GET', `/v1/sessions/${path}?ticket=${value}`, { headers: { upgrade: 'websocket' } })).status
    for (const path of [`${mine}/playwright`, `${mine}/cdp`, `${mine}/ports/80`, `${other}/vnc`]) {
      expect([path, await open(path, await ticket())]).toEqual([path, 401])
    }
    const plain = await ticket()
    expect((await api.call('GET', `/v1/sessions/${mine}?ticket=${plain}`)).status).toBe(401)
    expect([await open(`${mine}/vnc`, plain), await open(`${mine}/vnc`, plain)]).toEqual([503, 401])
  })

  it.each([
    '/v1/%2e%2e/admin',
    '//v1//sessions',
    '/v1/sessions/',
    '/V1/sessions',
    '/v1/sessions;x',
    '/v1/./sessions',
    '/v1/sessions%00',
    '/v1/sessions%2f..',
  ])('%s opens nothing', async path => {
    const { status } = await api.call('GET', path)
    expect([401, 404]).toContain(status)
    const own = await api.call('GET', path, { token: await api.mint() })
    expect([401, 403, 404]).toContain(own.status)
  })
})

describe('each route’s row', () => {
  const all = scopes.filter(scope => scope !== 'admin')
  const callRow = (name: string, token: Minted, thing: string) => {
    const row = rows[name]!
    const [method, template] = name.split(' ') as [string, string]
    const bare: Record<string, string> = typeof row.body === 'string' ? { 'content-type': 'application/octet-stream' } : {}
    if (row.endless) return headOf(method, template, token)
    return api.call(method, pathOf(template, thing) + (row.query ? `?${row.query}` : ''), {
      token,
      body: row.body,
      headers: { ...bare, ...row.headers },
    })
  }

  async function headOf(method: string, path: string, { token }: Minted) {
    const answer = await api.app.request(`${origin}${path}`, { method, headers: { authorization: `Bearer ${token}` } })
    await answer.body?.cancel()
    return { status: answer.status, headers: answer.headers, body: {} }
  }

  it('is there, and no row is without its route', () => {
    const names = routes.map(route => route.name)
    expect(names.filter(name => !rows[name])).toEqual([])
    expect(Object.keys(rows).filter(name => !names.includes(name))).toEqual([])
  })

  it('the owner, another user of the project, and another project get what it says', async () => {
    const wrong: string[] = []
    const first = await api.mint({ user: 'ann', scopes: all })
    const people = [first, await api.mint({ project: first.project, user: 'bob', scopes: all })] as const
    const eve = await api.mint({ user: 'ann', scopes: all })
    for (const { name, access } of routes) {
      const row = rows[name]
      if (!row) continue
      const admin = access === 'admin'
      const [ann, bob] = admin ? [api.admin, api.admin] : people
      const thing = () => (row.of ? makers[row.of as Kind](api, ann, cluster) : Promise.resolve('x'))
      const expect_ = (who: string, status: number, expected: number) => {
        if (status !== expected) wrong.push(`${name} as ${who}: ${status}, not ${expected}`)
      }
      expect_('its owner', (await callRow(name, ann, await thing())).status, row.own)
      expect_('another user', (await callRow(name, bob, await thing())).status, row.otherUser ?? row.own)
      if (admin) {
        expect_('no admin', (await callRow(name, eve, await thing())).status, 403)
        continue
      }
      const theirs = await thing()
      const foreign = await callRow(name, eve, theirs)
      expect_('another project', foreign.status, row.otherProject ?? (row.of ? 404 : row.own))
      if (!row.of) continue
      // Nobody can tell a foreign thing from one that is not; and it is as it was.
      const missing = await callRow(name, eve, 'no_such/links/no_such')
      const told = ({ status, body }: typeof foreign) => JSON.stringify([status, { ...body, request_id: '' }])
      if (told(foreign) !== told(missing)) wrong.push(`${name}: foreign ${told(foreign)}, missing ${told(missing)}`)
      expect_('its owner, after a stranger', (await callRow(name, ann, theirs)).status, row.own)
    }
    expect(wrong).toEqual([])
  }, 240_000)

  it('lists and figures show nothing of another project', async () => {
    const ann = await api.mint({ user: 'ann', scopes: all })
    const eve = await api.mint({ user: 'eve', scopes: all })
    const things: string[] = [ann.project, ann.id]
    for (const make of Object.values<Make>(makers)) things.push(...(await make(api, ann, cluster)).split('/links/'))
    const shown: string[] = []
    for (const { name, method, path, access } of routes) {
      if (method !== 'GET' || access === 'public' || access === 'ticket' || rows[name]?.endless) continue
      const { body } = await api.call('GET', path, { token: eve })
      const text = JSON.stringify(body)
      for (const thing of things) if (text.includes(thing)) shown.push(`${path} shows ${thing}`)
    }
    expect(shown).toEqual([])
  })
})
