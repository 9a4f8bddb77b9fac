/**
 * Every route, from the document, against inputs that no program of good will sends: wrong types in each field the schema names, bytes that are no
 * text, depth, size, ids and cursors that are none. The answer is a problem that says what is wrong; never a 500, and nothing is left behind.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scopes } from './context.ts'
import { openApiDocument } from './docs/document.ts'
import { loadBuiltinTemplates } from './templates/builtin.ts'
import { type Kind, makers, pathOf, rows } from './testing/access-rows.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from './testing/api-fixture.ts'
import { capable, FakeCluster } from './testing/fake-cluster.ts'

interface Schema {
  $ref?: string
  properties?: Record<string, Schema>
  oneOf?: Schema[]
  anyOf?: Schema[]
  allOf?: Schema[]
}
interface Operation {
  parameters?: { name: string; in: string }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
}

let api: ApiFixture
let admin: Minted
let operations: { name: string; operation: Operation; fields: string[]; path: string }[]
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 1_000_000, loginsPerMinute: 1_000_000, maxJsonBody: 256 * 1024 })
  await loadBuiltinTemplates(api.db)
  const cluster = await new FakeCluster(api).connect({ ...capable(10_000), features: ['display', 'volumes', 'exec'] })
  admin = await api.mint({ user: 'ann', scopes: [...scopes], expiresAt: null })
  const document = openApiDocument(api.app, { version: '0', origin })
  const schemas = (document.components?.schemas ?? {}) as Record<string, Schema>
  const fieldsOf = (schema: Schema | undefined, depth = 0): string[] => {
    if (!schema || depth > 3) return []
    const named = schema.$ref ? schemas[schema.$ref.split('/').at(-1)!] : schema
    const parts = [...(named?.oneOf ?? []), ...(named?.anyOf ?? []), ...(named?.allOf ?? [])]
    return [...new Set([...Object.keys(named?.properties ?? {}), ...parts.flatMap(part => fieldsOf(part, depth + 1))])]
  }
  operations = []
  const things = new Map<Kind, string>()
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(item as Record<string, Operation>)) {
      const name = `${method.toUpperCase()} ${path}`
      const kind = rows[name]?.of
      if (kind && !things.has(kind)) things.set(kind, await makers[kind](api, admin, cluster))
      const fields = fieldsOf(operation.requestBody?.content['application/json']?.schema)
      operations.push({ name, operation, fields, path: pathOf(path, kind ? things.get(kind)! : 'x') })
    }
  }
})
afterAll(() => api?.close())

const junk: [string, string][] = [
  ['null', 'null'],
  ['a list of lists', '[[[]]]'],
  ['an object', '{"__proto__":{"admin":true},"constructor":{"prototype":{}}}'],
  ['a huge number', '1e308'],
  ['a fraction below zero', '-0.5'],
  ['a NUL', '"a\\u0000b"'],
  ['half a character', '"\\ud800"'],
  ['100,000 letters', JSON.stringify('x'.repeat(100_000))],
  ['a quote and a comment', '"\'; drop table sessions; --"'],
]

/** Everything but a clean refusal, or a success, is told. */
async function send(faults: string[], what: string, name: string, path: string, init: RequestInit = {}) {
  if (rows[name]?.endless && !path.includes('?')) return
  const method = name.split(' ')[0]!
  const cut = new AbortController()
  const headers = new Headers({
    authorization: `Bearer ${admin.token}`,
    // Among them `Prefer: wait=0`, where a route would wait for an agent that is not there.
    ...rows[name]?.headers,
    ...(init.headers as Record<string, string>),
  })
  const answer = await api.app.request(`${origin}${path}`, { ...init, method, headers, signal: cut.signal })
  const said = `${name} with ${what}: ${answer.status}`
  const endless = answer.headers.get('content-type')?.includes('event-stream')
  const text = endless ? '' : await answer.text()
  if (endless) await answer.body?.cancel()
  cut.abort()
  // 503 stands for "through, but the stub of a tunnel has no agent".
  if (answer.status >= 500 && answer.status !== 503) faults.push(said)
  if (answer.status >= 400 && (!text.startsWith('{') || typeof JSON.parse(text).code !== 'string'))
    faults.push(`${said}, no problem`)
  if (/\bat \/|postgres|drizzle|select |insert into|TypeError|Failed query/i.test(text))
    faults.push(`${said} tells of our insides: ${text}`)
}

const json = { 'content-type': 'application/json' }
const withBody = () => operations.filter(({ operation }) => operation.requestBody?.content['application/json'])

describe('no 500, whatever comes', () => {
  it('in each field of each body', { timeout: 180_000 }, async () => {
    const faults: string[] = []
    for (const { name, path, fields } of withBody()) {
      const good = (rows[name]?.body ?? {}) as Record<string, unknown>
      for (const field of fields) {
        for (const [what, value] of junk) {
          const rest = Object.entries(good).filter(([key]) => key !== field)
          const parts = [
            ...rest.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`),
            `${JSON.stringify(field)}:${value}`,
          ]
          await send(faults, `${what} as ${field}`, name, path, { body: `{${parts.join(',')}}`, headers: json })
        }
      }
    }
    expect(faults).toEqual([])
  })

  const bodies: [string, () => string | Uint8Array<ArrayBuffer>, Record<string, string>][] = [
    ['no JSON', () => '{"a":', json],
    ['a list', () => '[]', json],
    ['a word', () => '"x"', json],
    ['nothing', () => '', json],
    ['depth 10,000', () => '['.repeat(10_000) + ']'.repeat(10_000), json],
    ['deep objects', () => `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`, json],
    ['bytes that are no UTF-8', () => new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), json],
    ['more than allowed', () => JSON.stringify({ name: 'x'.repeat(300_000) }), json],
    ['a form', () => 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', () => '{}', { 'content-type': 'text/plain' }],
    [
      'JSON in UTF-16',
      () => new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]),
      { 'content-type': 'application/json; charset=utf-16' },
    ],
  ]
  it.each(bodies)('body: %s', async (what, body, headers) => {
    const faults: string[] = []
    for (const { name, path } of withBody()) await send(faults, what, name, path, { body: body(), headers })
    expect(faults).toEqual([])
  })

  it.each([
    '%00',
    'a%00b',
    '..%2f..%2fetc',
    '%2e%2e',
    '%E0%A4%A',
    '%ff%fe',
    '%F0%9F%92%A9',
    "'%20or%201=1--",
    'x'.repeat(5_000),
    '%0d%0aset-cookie:a=b',
    '-1',
    '__proto__',
    'constructor',
  ])('as an id: %s', async id => {
    const faults: string[] = []
    for (const { name } of operations) {
      const [, template] = name.split(' ') as [string, string]
      if (!template.includes('{')) continue
      const row = rows[name]
      const body = row?.body === undefined ? {} : { body: typeof row.body === 'string' ? row.body : JSON.stringify(row.body) }
      const headers = { ...(row?.body !== undefined && typeof row.body !== 'string' ? json : {}), ...row?.headers }
      await send(
        faults,
        `the id ${id.slice(0, 40)}`,
        name,
        template.replaceAll(/\{\w+\}/g, () => id),
        { ...body, headers },
      )
    }
    expect(faults).toEqual([])
  })

  const values = [
    '',
    '-1',
    '0',
    '101',
    '1e9',
    '0.5',
    'NaN',
    '%00',
    '%ff',
    '%ED%A0%80',
    'zzzzzzzzz.a',
    '0.x',
    '1.%00',
    `${'9'.repeat(30)}.a`,
    "';--",
    '__proto__',
    'x'.repeat(4_000),
    '2026-13-45T99:99:99Z',
    '275760-09-13T00:00:00.001Z',
    '*.*',
    '.*',
  ]
  it('in each query parameter', { timeout: 120_000 }, async () => {
    const faults: string[] = []
    for (const { name, operation, path } of operations) {
      if (!name.startsWith('GET') && !name.startsWith('DELETE')) continue
      for (const { name: parameter } of (operation.parameters ?? []).filter(({ in: where }) => where === 'query')) {
        for (const value of values)
          await send(faults, `?${parameter}=${value.slice(0, 40)}`, name, `${path}?${parameter}=${value}`, {
            headers: rows[name]?.headers ?? {},
          })
      }
      await send(faults, 'a parameter twice', name, `${path}?limit=1&limit=2&cursor=a&cursor=b&follow=true&follow=x`, {
        headers: rows[name]?.headers ?? {},
      })
    }
    expect(faults).toEqual([])
  })

  it.each([
    ['idempotency-key', 'x'.repeat(300)],
    ['idempotency-key', '\u00ff'],
    ['prefer', 'wait=-1'],
    ['prefer', 'wait=99999999999999999999'],
    ['prefer', 'wait=0.0001, respond-async;;;='],
    ['accept', 'text/csv;q=z, */*;;'],
    ['last-event-id', '%00'],
    ['cookie', '__Host-porthole=%00; porthole=;;=;'],
    ['origin', 'null'],
    ['x-request-id', 'a'.repeat(5_000)],
    ['if-none-match', '"'],
    ['range', 'bytes=-1-99'],
  ])('header %s: %s', async (header, value) => {
    const faults: string[] = []
    for (const { name, path } of operations) {
      const body = rows[name]?.body
      const sent = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
      await send(faults, header, name, path, { ...sent, headers: { ...(typeof body === 'object' ? json : {}), [header]: value } })
    }
    expect(faults).toEqual([])
  })
})

it('another method than a path takes is 405 and told which it does take; any other path is 404', async () => {
  const wrong: string[] = []
  const taken = Map.groupBy(operations, ({ name }) => name.split(' ')[1]!)
  for (const [path, declared] of taken) {
    const allowed = declared.map(({ name }) => name.split(' ')[0]!)
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(method => !allowed.includes(method))) {
      const { status, headers, body } = await api.call(method, declared[0]!.path, { token: admin })
      const told = (headers.get('allow') ?? '').split(', ').filter(Boolean)
      // A path such as /v1/jobs/inspect is also one of /v1/jobs/{id}.
      const also = taken.get('/v1/jobs/{id}')!.map(({ name }) => name.split(' ')[0]!)
      if (path === '/v1/jobs/inspect' && also.includes(method)) continue
      const right = path === '/v1/jobs/inspect' ? [...allowed, ...also] : allowed
      if (status !== 405 || body.code !== 'method_not_allowed' || told.sort().join() !== [...right].sort().join())
        wrong.push(`${method} ${path}: ${status}, ${told}`)
    }
  }
  expect(wrong).toEqual([])
  for (const path of ['/v1', '/v1/', '/v1/nothing', '/v1/sessions/x/nothing', '/v2/sessions', '/nothing'])
    expect([path, (await api.call('GET', path, { token: admin })).body.code]).toEqual([path, 'not_found'])
})
