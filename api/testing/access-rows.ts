/**
 * The rows of the access matrix: for each route, which thing of the caller's its path names, what is sent, and what the owner gets. What
 * everybody else gets follows: another project's caller 404 where a thing is named (the same 404 as for a thing that is not), and from a
 * list nothing of it. `access-matrix.test.ts` fails for a route without a row, and for a row without a route.
 */
import { gzipSync } from 'node:zlib'
import { type ApiFixture, type Minted, origin } from './api-fixture.ts'
import type { FakeCluster } from './fake-cluster.ts'

export interface Row {
  /** The thing that `{id}` names; made anew for each call. */
  of?: Kind
  body?: unknown
  query?: string
  headers?: Record<string, string>
  /** Status for the owner. */
  own: number
  /** For another user of the same project; absent: as the owner. */
  otherUser?: number
  /** For another project; absent: 404 where a thing is named, else as the owner (a list then shows nothing of it). */
  otherProject?: number
  /** Its answer has no end: only the head is read. */
  endless?: true
}

const websocket = { upgrade: 'websocket' }
/** 503: through every check, and then the test's tunnel has no agent. */
const noAgent = 503

export const rows: Record<string, Row> = {
  'GET /health': { own: 200 },
  'GET /ready': { own: 200 },
  'GET /metrics': { own: 200 },
  'GET /openapi.json': { own: 200 },
  'GET /docs': { own: 200 },
  'GET /v1/me': { own: 200 },
  'GET /v1/status': { own: 200 },
  'GET /v1/monitor/system': { own: 200 },
  'GET /v1/monitor/clusters': { own: 200 },
  'POST /secret-scanning/github': { body: [], own: 401 },
  'POST /v1/auth/login': { body: {}, own: 422 },
  'POST /v1/auth/logout': { own: 204 },
  'POST /v1/agent/enroll': { body: {}, own: 422 },
  'GET /v1/agent/link': { own: 426 },
  'GET /v1/agent/streams/{id}': { own: 426 },

  'GET /v1/projects': { own: 200 },
  'POST /v1/projects': { body: { name: 'made' }, own: 201 },
  'GET /v1/projects/{id}': { of: 'project', own: 200 },
  'PATCH /v1/projects/{id}': { of: 'project', body: { name: 'renamed' }, own: 200 },
  'DELETE /v1/projects/{id}': { of: 'project', own: 409 },

  'GET /v1/tokens': { own: 200 },
  'POST /v1/tokens': { body: { name: 'made' }, own: 201 },
  'GET /v1/tokens/{id}': { of: 'token', own: 200 },
  'POST /v1/tokens/{id}/rotate': { of: 'token', body: {}, own: 201, otherUser: 403 },
  'DELETE /v1/tokens/{id}': { of: 'token', own: 204 },

  'GET /v1/clusters': { own: 200 },
  'POST /v1/clusters': { body: { name: 'made' }, own: 201, otherUser: 409, otherProject: 201 },
  'GET /v1/clusters/{id}': { of: 'cluster', own: 200 },
  'PATCH /v1/clusters/{id}': { of: 'cluster', body: { labels: { a: 'b' } }, own: 200 },
  'DELETE /v1/clusters/{id}': { of: 'cluster', own: 204 },
  'POST /v1/clusters/{id}/enroll': { of: 'cluster', body: {}, own: 201 },
  'POST /v1/clusters/{id}/drain': { of: 'cluster', body: {}, own: 200 },

  'GET /v1/templates': { own: 200 },
  'POST /v1/templates': { body: { id: 'made', name: 'Made', kind: 'browser', browser: 'chromium' }, own: 201, otherUser: 409 },
  'GET /v1/templates/{id}': { of: 'template', own: 200 },
  'PUT /v1/templates/{id}': { of: 'template', body: { name: 'Changed', kind: 'browser', browser: 'chromium' }, own: 200 },
  'DELETE /v1/templates/{id}': { of: 'template', own: 204 },

  'GET /v1/sessions': { own: 200 },
  'POST /v1/sessions': { body: { template: 'chromium' }, own: 201 },
  'GET /v1/sessions/{id}': { of: 'session', own: 200 },
  'PATCH /v1/sessions/{id}': { of: 'session', body: { labels: { a: 'b' } }, own: 200 },
  'DELETE /v1/sessions/{id}': { of: 'session', own: 204 },
  'POST /v1/sessions/{id}/touch': { of: 'session', body: {}, own: 200 },
  'POST /v1/sessions/{id}/stop': { of: 'session', own: 200 },
  'POST /v1/sessions/{id}/start': { of: 'session', own: 200 },
  'POST /v1/sessions/{id}/restart': { of: 'session', own: 200 },
  'GET /v1/sessions/{id}/events': { of: 'session', own: 200 },
  'GET /v1/sessions/{id}/viewers': { of: 'session', own: 200 },
  'PUT /v1/sessions/{id}/control': { of: 'session', body: { mode: 'single' }, own: 200, otherUser: 403 },
  'GET /v1/sessions/{id}/screenshot': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/logs': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/recordings': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/recordings/{recording}': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/metrics': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/files': { of: 'session', own: noAgent },
  'GET /v1/sessions/{id}/files/{path}': { of: 'session', own: noAgent },
  'PUT /v1/sessions/{id}/files/{path}': { of: 'session', body: 'text', own: noAgent },
  'DELETE /v1/sessions/{id}/files/{path}': { of: 'session', own: noAgent },
  'POST /v1/sessions/{id}/tickets': { of: 'session', body: { stream: 'vnc' }, own: 201 },
  'GET /v1/sessions/{id}/vnc': { of: 'session', headers: websocket, own: noAgent },
  'GET /v1/sessions/{id}/playwright': { of: 'session', headers: websocket, own: noAgent },
  'GET /v1/sessions/{id}/cdp': { of: 'session', headers: websocket, own: noAgent },
  'GET /v1/sessions/{id}/ports/{port}': { of: 'session', headers: websocket, own: 404 },
  'POST /v1/sessions/{id}/links': { of: 'session', body: {}, own: 201 },
  'GET /v1/sessions/{id}/links': { of: 'session', own: 200 },
  'DELETE /v1/sessions/{id}/links/{link}': { of: 'link', own: 204 },
  'POST /v1/links/open': { body: { link: 'x' }, own: 404 },
  'POST /v1/links/ask': { body: { link: 'x', viewer: 'x' }, own: 404 },
  'POST /v1/links/tickets': { body: { link: 'x' }, own: 404 },

  'GET /v1/volumes': { own: 200 },
  'POST /v1/volumes': { body: { name: 'made' }, own: 201 },
  'GET /v1/volumes/{id}': { of: 'volume', own: 200 },
  'DELETE /v1/volumes/{id}': { of: 'volume', own: 204 },
  'GET /v1/volumes/{id}/archive': { of: 'volume', own: 409 },
  'PUT /v1/volumes/{id}/archive': { of: 'volume', body: 'bytes', own: 503 },

  'GET /v1/secrets': { own: 200 },
  'POST /v1/secrets': { body: { name: 'made', value: 'v' }, own: 201, otherUser: 200 },
  'DELETE /v1/secrets/{id}': { of: 'secret', own: 204 },

  'GET /v1/registries': { own: 200 },
  'POST /v1/registries': { body: { host: 'made.example', username: 'u', password: 'p' }, own: 201, otherUser: 200 },
  'DELETE /v1/registries/{id}': { of: 'registry', own: 204 },
  'POST /v1/registries/{id}/test': { of: 'registry', headers: { prefer: 'wait=0' }, own: 200 },
  'GET /v1/webhooks': { own: 200 },
  'POST /v1/webhooks': { body: { provider: 'github', build: { git: { url: 'https://git.example.com/a' } } }, own: 201 },
  'PATCH /v1/webhooks/{id}': { of: 'webhook', body: { enabled: false }, own: 200 },
  'DELETE /v1/webhooks/{id}': { of: 'webhook', own: 204 },
  'POST /v1/hooks/{id}': { own: 401 },

  'GET /v1/jobs': { own: 200 },
  'POST /v1/jobs': { body: { type: 'run', image: 'busybox', command: ['true'] }, own: 201 },
  'POST /v1/jobs/inspect': { body: { git: { url: 'https://git.example.com/a' } }, headers: { prefer: 'wait=0' }, own: 200 },
  'GET /v1/jobs/{id}': { of: 'job', own: 200 },
  'DELETE /v1/jobs/{id}': { of: 'job', own: 204 },
  'POST /v1/jobs/{id}/cancel': { of: 'job', own: 200 },
  'POST /v1/jobs/{id}/retry': { of: 'job', body: {}, own: 409 },

  // What is sent is JSON here.
  'PUT /v1/uploads/{id}': { body: {}, own: 415 },
  'GET /v1/uploads': { own: 200 },
  'GET /v1/uploads/{id}': { of: 'upload', own: 200 },
  'DELETE /v1/uploads/{id}': { of: 'upload', own: 204 },
  'GET /v1/agent/jobs/{id}/context': { own: 422 },

  'GET /v1/jobs/{id}/logs': { of: 'job', own: 200 },
  'POST /v1/agent/jobs/{id}/logs': { own: 422 },

  'GET /v1/terminals': { own: 200 },
  'POST /v1/terminals': { body: { session: 'no_such' }, own: 404 },
  'DELETE /v1/terminals': { query: 'session=no_such', own: 204 },
  'GET /v1/terminals/{id}': { of: 'terminal', own: 200 },
  'DELETE /v1/terminals/{id}': { of: 'terminal', own: 204 },
  'POST /v1/terminals/{id}/tickets': { of: 'terminal', own: 201 },

  'GET /v1/pools': { own: 200 },
  'POST /v1/pools': { body: { template: 'chromium', size: 1 }, own: 422 },
  'GET /v1/pools/{id}': { of: 'pool', own: 200 },
  'PATCH /v1/pools/{id}': { of: 'pool', body: { size: 2 }, own: 200 },
  'DELETE /v1/pools/{id}': { of: 'pool', own: 204 },

  'GET /v1/events': { own: 200, endless: true },
  'GET /v1/audit': { own: 200 },
  'GET /v1/audit/chain': { own: 200 },
}

/** How a thing comes to be, in the owner's hands. Answers what stands for `{id}` (and `{link}`) in a path. */
export type Make = (api: ApiFixture, owner: Minted, cluster: FakeCluster) => Promise<string>

const made =
  (path: string, body: () => object): Make =>
  async (api, owner) => {
    const answer = await api.call('POST', path, { token: owner, body: body() })
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body.id
  }
let names = 0
const name = () => `n${++names}`

async function runningSession(api: ApiFixture, owner: Minted, cluster: FakeCluster): Promise<string> {
  const id = await made('/v1/sessions', () => ({ template: 'chromium', cluster: cluster.id }))(api, owner, cluster)
  await cluster.report([{ id, phase: 'running' }])
  return id
}

export const makers = {
  project: async (_, owner) => owner.project,
  token: made('/v1/tokens', () => ({ name: 'thing' })),
  cluster: made('/v1/clusters', () => ({ name: name() })),
  template: made('/v1/templates', () => ({ id: name(), name: 'Thing', kind: 'browser', browser: 'chromium' })),
  volume: made('/v1/volumes', () => ({ name: name() })),
  secret: made('/v1/secrets', () => ({ name: name(), value: 'value' })),
  registry: made('/v1/registries', () => ({ host: `${name()}.example`, username: 'u', password: 'p' })),
  webhook: made('/v1/webhooks', () => ({ provider: 'github', build: { git: { url: 'https://git.example.com/a' } } })),
  job: made('/v1/jobs', () => ({ type: 'run', image: 'busybox', command: ['true'] })),
  async upload(api, owner) {
    const headers = { authorization: `Bearer ${owner.token}` }
    const answer = await api.app.request(`${origin}/v1/uploads/${name()}`, { method: 'PUT', headers, body: gzipSync('files') })
    return ((await answer.json()) as { id: string }).id
  },
  session: runningSession,
  async terminal(api, owner, cluster) {
    const session = await runningSession(api, owner, cluster)
    return made('/v1/terminals', () => ({ session }))(api, owner, cluster)
  },
  async pool(api, owner, cluster) {
    const own = await made('/v1/clusters', () => ({ name: name() }))(api, owner, cluster)
    return made('/v1/pools', () => ({ template: 'chromium', cluster: own, size: 1 }))(api, owner, cluster)
  },
  async link(api, owner, cluster) {
    const session = await runningSession(api, owner, cluster)
    const link = await api.call('POST', `/v1/sessions/${session}/links`, { token: owner, body: {} })
    return `${session}/links/${link.body.id}`
  },
} satisfies Record<string, Make>
export type Kind = keyof typeof makers

/** The path of a row, with things in their places. */
export function pathOf(template: string, thing: string): string {
  const [id, link = 'x'] = thing.split('/links/')
  return template
    .replace('{id}', id!)
    .replace('{link}', link)
    .replace('{port}', '80')
    .replace('{recording}', 'g1-1')
    .replaceAll(/\{\w+\}/g, 'x')
}
