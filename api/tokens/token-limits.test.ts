/** What binds a token: networks, own rates, certain sessions or clusters; never widened by the tokens it makes. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokens } from '#db/schema.ts'
import type { Scope } from '../context.ts'
import { openApiDocument } from '../docs/document.ts'
import { loadBuiltinTemplates } from '../templates/builtin.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from '../testing/api-fixture.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'

const scopes: Scope[] = ['sessions:read', 'sessions:write', 'sessions:connect', 'clusters:read', 'tokens']
let api: ApiFixture
let ann: Minted
let here: FakeCluster
let there: FakeCluster
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000, loginsPerMinute: 100_000 })
  await loadBuiltinTemplates(api.db)
  here = await new FakeCluster(api).connect()
  there = await new FakeCluster(api).connect()
  ann = await api.mint({ user: 'ann', scopes })
})
afterAll(() => api?.close())

const make = (token: Minted | string, more: object) =>
  api.call('POST', '/v1/tokens', { token, body: { name: 'bound', scopes, ...more } })
const from = (address: string) => ({ 'x-test-address': address })
const session = async (cluster: FakeCluster) => {
  const id = (await api.call('POST', '/v1/sessions', { token: ann, body: { template: 'chromium', cluster: cluster.id } })).body.id
  await cluster.report([{ id, phase: 'running' }])
  return id as string
}

describe('networks', () => {
  it('let it be used from there and from nowhere else, cached or not, as Bearer, cookie or ticket', async () => {
    const { token, allowed_cidrs } = (await make(ann, { allowed_cidrs: ['198.51.100.0/24', '2001:db8::/32'] })).body
    expect(allowed_cidrs).toEqual(['198.51.100.0/24', '2001:db8::/32'])
    const me = async (address: string) => (await api.call('GET', '/v1/me', { token, headers: from(address) })).status
    expect(await me('203.0.113.1')).toBe(401)
    expect(await me('198.51.100.9')).toBe(200)
    expect(await me('203.0.113.1')).toBe(401)
    expect(await me('2001:db8::5')).toBe(200)
    const login = (address: string) =>
      api.call('POST', '/v1/auth/login', { body: { token }, headers: { ...from(address), origin } })
    expect((await login('203.0.113.1')).status).toBe(401)
    const cookie = (await login('198.51.100.9')).headers.get('set-cookie')!.split(';')[0]!
    const byCookie = async (address: string) =>
      (await api.call('GET', '/v1/me', { headers: { cookie, ...from(address) } })).status
    expect([await byCookie('198.51.100.9'), await byCookie('203.0.113.1')]).toEqual([200, 401])
    const id = await session(here)
    const redeem = async (address: string) => {
      const asked = { token, body: { stream: 'vnc' }, headers: from('198.51.100.9') }
      const { ticket } = (await api.call('POST', `/v1/sessions/${id}/tickets`, asked)).body
      return (
        await api.call('GET', `/v1/sessions/${id}/vnc?ticket=${ticket}`, { headers: { upgrade: 'websocket', ...from(address) } })
      ).status
    }
    expect([await redeem('198.51.100.9'), await redeem('203.0.113.1')]).toEqual([503, 401])
  })

  it.each(['10.0.0.0/33', 'example.com', '', '10.0.0.0/8 '])('%j is refused', async network => {
    expect(await make(ann, { allowed_cidrs: [network] })).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/allowed_cidrs/0' }] },
    })
  })
})

describe('a token bound to sessions', () => {
  it('reaches those and nothing else: every other route refuses it, also one that is added later', async () => {
    const [mine, other] = [await session(here), await session(here)]
    const { token } = (await make(ann, { limits: { sessions: [mine] } })).body
    expect((await api.call('GET', `/v1/sessions/${mine}`, { token })).status).toBe(200)
    expect((await api.call('GET', `/v1/sessions/${other}`, { token })).status).toBe(404)
    expect((await api.call('DELETE', `/v1/sessions/${other}`, { token })).status).toBe(404)
    const listed = await api.call('GET', '/v1/sessions', { token })
    expect(listed.body.data.map((found: { id: string }) => found.id)).toEqual([mine])
    expect((await api.call('POST', '/v1/sessions', { token, body: { template: 'chromium' } })).status).toBe(403)
    expect((await api.call('GET', '/v1/me', { token })).status).toBe(200)
    const document = openApiDocument(api.app, { version: '0', origin })
    const through: string[] = []
    for (const [path, item] of Object.entries(document.paths ?? {})) {
      for (const [method, operation] of Object.entries(item as Record<string, { 'x-access'?: string }>)) {
        const within = path.startsWith('/v1/sessions') || /^\/v1\/(me|templates)/.test(path)
        if (within || ['public', 'agent', 'ticket'].includes(operation['x-access']!)) continue
        const { status } = await api.call(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'x'), {
          token,
          ...(method === 'get' ? {} : { body: {} }),
        })
        if (status !== 403) through.push(`${method} ${path} ${status}`)
      }
    }
    expect(through).toEqual([])
  })
})

describe('a token bound to clusters', () => {
  it('sees and makes sessions only there', async () => {
    const [near, far] = [await session(here), await session(there)]
    const { token } = (await make(ann, { limits: { clusters: [here.id] } })).body
    expect((await api.call('GET', `/v1/sessions/${near}`, { token })).status).toBe(200)
    expect((await api.call('GET', `/v1/sessions/${far}`, { token })).status).toBe(404)
    expect((await api.call('POST', `/v1/sessions/${far}/stop`, { token })).status).toBe(404)
    const made = await Promise.all(
      Array.from({ length: 4 }, () => api.call('POST', '/v1/sessions', { token, body: { template: 'chromium' } })),
    )
    expect(new Set(made.map(answer => answer.body.cluster))).toEqual(new Set([here.id]))
    const asked = await api.call('POST', '/v1/sessions', { token, body: { template: 'chromium', cluster: there.id } })
    expect(asked.status).toBe(422)
  })
})

describe('what a bound token makes', () => {
  it('is bound as tightly: inherited when nothing is said, refused when wider', async () => {
    const limits = { max_sessions: 3, requests_per_minute: 50, max_streams: 2 }
    const parent = (await make(ann, { allowed_cidrs: ['192.0.2.0/24'], limits })).body
    const child = (await make(parent.token, {})).body
    expect(child).toMatchObject({ allowed_cidrs: ['192.0.2.0/24'], limits })
    expect((await make(parent.token, { limits: { max_sessions: 2 }, allowed_cidrs: ['192.0.2.1'] })).body).toMatchObject({
      limits: { ...limits, max_sessions: 2 },
      allowed_cidrs: ['192.0.2.1'],
    })
    for (const wider of [
      { limits: { max_sessions: 4 } },
      { limits: { requests_per_minute: 51 } },
      { allowed_cidrs: ['192.0.2.0/23'] },
      { allowed_cidrs: ['0.0.0.0/0'] },
    ]) {
      expect(await make(parent.token, wider)).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    }
    const rotated = await api.call('POST', `/v1/tokens/${parent.id}/rotate`, { token: ann, body: {} })
    expect(rotated.body).toMatchObject({ allowed_cidrs: ['192.0.2.0/24'], limits })
  })

  it('its own rate is told and kept, and leaves its project’s alone', async () => {
    const { token } = (await make(ann, { limits: { requests_per_minute: 2 } })).body
    const ask = () => api.call('POST', '/v1/sessions/ses_none/touch', { token, body: {} })
    const first = await ask()
    expect([first.status, first.headers.get('ratelimit-limit'), first.headers.get('ratelimit-remaining')]).toEqual([
      404,
      '2',
      '1',
    ])
    expect((await ask()).status).toBe(404)
    const refused = await ask()
    expect([refused.status, refused.headers.get('ratelimit-limit')]).toEqual([429, '2'])
    expect((await api.call('POST', '/v1/sessions/ses_none/touch', { token: ann, body: {} })).status).toBe(404)
  })

  it('is stored as it is shown', async () => {
    const { id } = (await make(ann, { limits: { max_streams: 1 } })).body
    const [row] = await api.db.select().from(tokens).where(eq(tokens.id, id))
    expect(row).toMatchObject({ limits: { max_streams: 1 }, allowed_cidrs: null })
  })
})
