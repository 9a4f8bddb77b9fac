/**
 * Every route of the app, taken from its own document, against every kind of caller who must not get through. The guard comes before anything is
 * read, so no route needs a valid body or id here. A route that is added is in the matrix by itself.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Scope, scopes } from './context.ts'
import { openApiDocument } from './docs/document.ts'
import { type ApiFixture, apiFixture, type Minted } from './testing/api-fixture.ts'
import { mintSecret } from './tokens/format.ts'

interface Route {
  method: string
  path: string
  access: string
}

let api: ApiFixture
let routes: Route[]
let nobody: Record<string, string>
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000, loginsPerMinute: 100_000 })
  const document = openApiDocument(api.app, { version: '0', origin: 'http://porthole.test' })
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, { 'x-access'?: string }>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === 'port' ? '80' : name === 'stream' ? 'vnc' : 'x')),
      access: operation['x-access'] ?? 'undeclared',
    })),
  )
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
    'an agent’s JWT': `${btoa('{"alg":"EdDSA"}')}.${btoa('{}')}.x`,
  }
})
afterAll(() => api?.close())

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
      'POST /v1/auth/login',
      'POST /v1/auth/logout',
      'POST /v1/links/open',
      'POST /v1/links/tickets',
    ])
  })

  it('nobody gets through without a token that works', async () => {
    const through: string[] = []
    for (const route of routes.filter(route => route.access !== 'public')) {
      for (const [who, token] of Object.entries(nobody)) {
        const { status, headers } = await call(route, token)
        const expected = route.access === 'agent' && !route.path.includes('/streams/') ? [401, 422, 426] : [401, 426]
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
