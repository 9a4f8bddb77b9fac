/** Every list of the document: one shape, `limit` and `cursor`, newest first, each thing once. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Scope, scopes } from './context.ts'
import { openApiDocument } from './docs/document.ts'
import { loadBuiltinTemplates } from './templates/builtin.ts'
import { type Kind, makers } from './testing/access-rows.ts'
import { type ApiFixture, apiFixture, type Minted, origin } from './testing/api-fixture.ts'
import { capable, FakeCluster } from './testing/fake-cluster.ts'

interface Schema {
  $ref?: string
  properties?: Record<string, unknown>
}
interface Operation {
  parameters?: { name: string }[]
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>
}

/** What fills a list; lists under a session or of an agent's memory have tests of their own. */
const filledBy: Record<string, Kind | null> = {
  '/v1/tokens': 'token',
  '/v1/clusters': 'cluster',
  '/v1/templates': 'template',
  '/v1/sessions': 'session',
  '/v1/volumes': 'volume',
  '/v1/terminals': 'terminal',
  '/v1/jobs': 'job',
  '/v1/secrets': 'secret',
  '/v1/pools': 'pool',
  '/v1/registries': 'registry',
  '/v1/webhooks': 'webhook',
  '/v1/uploads': 'upload',
  '/v1/projects': null,
  '/v1/audit': null,
  '/v1/sessions/{id}/links': null,
  '/v1/sessions/{id}/events': null,
}
/** Told whole: what is there now, and no more than can be. */
const whole = [
  '/v1/monitor/clusters',
  '/v1/sessions/{id}/viewers',
  '/v1/sessions/{id}/recordings',
  '/v1/sessions/{id}/files',
  '/v1/sessions/{id}/files/{path}',
]

let api: ApiFixture
let cluster: FakeCluster
let token: Minted
let lists: { path: string; parameters: string[] }[]
beforeAll(async () => {
  api = await apiFixture({ requestsPerMinute: 100_000 })
  await loadBuiltinTemplates(api.db)
  cluster = await new FakeCluster(api).connect({ ...capable(1_000), features: ['display', 'volumes', 'exec'] })
  token = await api.mint({ scopes: scopes.filter((scope): scope is Scope => scope !== 'admin') })
  const document = openApiDocument(api.app, { version: '0', origin })
  const schemas = document.components?.schemas as Record<string, Schema>
  lists = Object.entries(document.paths ?? {}).flatMap(([path, item]) => {
    const operation = (item as { get?: Operation }).get
    const schema = operation?.responses[200]?.content?.['application/json']?.schema
    const named = schema?.$ref ? schemas[schema.$ref.split('/').at(-1)!] : schema
    if (!operation || !named?.properties?.has_more) return []
    return [{ path, parameters: (operation.parameters ?? []).map(({ name }) => name) }]
  })
})
afterAll(() => api?.close())

it('are all known here, and take limit and cursor unless they are told whole', () => {
  expect(lists.map(({ path }) => path).sort()).toEqual([...Object.keys(filledBy), ...whole].sort())
  for (const { path, parameters } of lists)
    expect([path, parameters.includes('limit'), parameters.includes('cursor')]).toEqual([
      path,
      !whole.includes(path),
      !whole.includes(path),
    ])
})

const get = (path: string, query = '') => api.call('GET', `${path}${query}`, { token })
const idsOf = (body: { data: { id: string }[] }) => body.data.map(({ id }) => id)

describe.each(Object.entries(filledBy).flatMap(([path, kind]) => (kind ? [[path, kind] as const] : [])))('%s', (path, kind) => {
  it('is walked with a cursor, newest first, each thing once', { timeout: 60_000 }, async () => {
    const made: string[] = []
    for (let n = 0; n < 3; n++) made.push(await makers[kind](api, token, cluster))
    const all = idsOf((await get(path, '?limit=100')).body)
    expect(all.filter(id => made.includes(id))).toEqual([...made].reverse())
    const walked: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body } = await get(path, `?limit=2${cursor && `&cursor=${cursor}`}`)
      expect(Object.keys(body).sort()).toEqual(['data', 'has_more', 'next_cursor', 'object'])
      expect([body.object, body.data.length <= 2, body.has_more]).toEqual(['list', true, body.next_cursor !== null])
      walked.push(...idsOf(body))
      cursor = body.next_cursor
    }
    expect(walked).toEqual(all)
  })

  it.each(['?limit=0', '?limit=101', '?limit=-1', '?limit=x', '?limit=1.5', '?cursor=x', '?cursor=..', '?cursor=%00'])(
    'refuses %s',
    async query => {
      const { status, body } = await get(path, query)
      expect([status, body.code, body.errors[0].pointer]).toEqual([422, 'invalid', query.slice(0, query.indexOf('='))])
    },
  )
})
