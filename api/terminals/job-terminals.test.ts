/** Terminals in jobs over the real server and Postgres: which jobs can be entered, what the agent is told of them, and when it is over. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { jobs, terminals } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { jsonLog } from '../node/log.ts'
import { capabilities, dialData, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { sweepTerminals } from './sweep.ts'

let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let opens: Open[]
const able = { ...capabilities, jobs: { types: ['run' as const, 'manifest' as const, 'deploy' as const], capacity: 100 } }

beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  link = await agent.dial()
  link.hello({ capabilities: { ...able, features: ['exec', 'exec_jobs'] } })
  await link.next('snapshot')
  link.serve(async open => {
    opens.push(open)
    await dialData(open, ws => ws.on('message', (data, binary) => ws.send(data, { binary })))
  })
})
afterAll(() => api?.close())
beforeEach(() => {
  opens = []
})

async function call(method: string, path: string, body?: unknown, token = api.admin) {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  return { status: answer.status, body: (text ? JSON.parse(text) : null) as any }
}
const set = (id: string, change: Partial<typeof jobs.$inferInsert>) => api.db.update(jobs).set(change).where(eq(jobs.id, id))
const running = { status: 'running', started_at: new Date(), cause: null, ended_at: null } as const
const over = { status: 'succeeded', ended_at: new Date(), cause: 'exit' } as const
async function job(body: object, change: Partial<typeof jobs.$inferInsert> = running): Promise<string> {
  const { body: made } = await call('POST', '/v1/jobs', { cluster: agent.cluster, ...body })
  await set(made.id, { cluster_id: agent.cluster, ...change })
  return made.id
}
const run = { type: 'run', command: 'sleep 60' }
const manifest = { type: 'manifest', yaml: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n' }
const deploy = { type: 'deploy', mappings: { 'web/main': 'a:1', 'statefulset/db': 'b:2' } }
const enter = async (id: string, part: object = {}) => (await call('POST', '/v1/terminals', { job: id, ...part })).body
const row = async (id: string) => (await api.db.select().from(terminals).where(eq(terminals.id, id)))[0]
const sweep = () => sweepTerminals({ db: api.db, tunnel: api.tunnel, origin: api.url, log: jsonLog(() => {}) })
async function opened(id: string) {
  const viewer = api.viewer(`/v1/terminals/${id}`, { protocols: ['binary'] })
  await viewer.open
  return viewer
}

describe('a terminal in a job', () => {
  it('is opened by the job’s id, with what the agent finds its pod by; lists and deletes go by it', async () => {
    const id = await job(run)
    const terminal = await enter(id, { cols: 100, pod: 'job-x-a1', container: 'job' })
    expect(terminal).toMatchObject({ job: id, session: null, status: 'created' })
    const viewer = await opened(terminal.id)
    const of = { type: 'run', attempt: 1, project: terminal.project }
    expect(opens[0]).toMatchObject({
      session: id,
      kind: 'terminal',
      target: { terminal: { id: terminal.id, start: { pod: 'job-x-a1', container: 'job', cols: 100, job: of } } },
    })
    await api.tunnel.streams.sweep()
    expect(viewer.ws.readyState).toBe(viewer.ws.OPEN)
    expect((await call('GET', `/v1/terminals?job=${id}`)).body.data).toHaveLength(1)
    expect((await call('POST', `/v1/terminals/${terminal.id}/tickets`)).status).toBe(201)
    expect((await call('DELETE', `/v1/terminals?job=${id}`)).status).toBe(204)
    expect((await call('GET', `/v1/terminals?job=${id}`)).body.data).toEqual([])
    await api.tunnel.streams.sweep()
    expect(await viewer.closed).toMatchObject({ code: 4410 })
  })

  it.each([
    [
      'a manifest, by its set',
      { ...manifest, set: 'shop', namespace: 'team' },
      { type: 'manifest', set: 'shop', namespace: 'team' },
    ],
    ['a manifest without a set', manifest, { type: 'manifest', attempt: 1 }],
    ['a deploy, by its services', deploy, { type: 'deploy', services: ['web/main', 'statefulset/db'] }],
  ])('what it left can be entered after its end: %s', async (_, body, of) => {
    const terminal = await enter(await job(body, over))
    const viewer = await opened(terminal.id)
    expect(opens[0]!.target.terminal!.start!.job).toMatchObject(of)
    await sweep()
    expect((await row(terminal.id))!.status).toBe('running')
    viewer.ws.close()
  })

  it.each<[string, object, Partial<typeof jobs.$inferInsert>]>([
    ['has ended', run, over],
    ['waits', run, { status: 'queued', started_at: null }],
    ['has not begun to apply', manifest, { status: 'queued', started_at: null }],
  ])('not of one that %s', async (_, body, change) => {
    const answer = await call('POST', '/v1/terminals', { job: await job(body, change) })
    expect(answer).toMatchObject({ status: 409, body: { code: 'job_not_running' } })
  })

  it('not where the agent does not offer it, and of no job that is not there', async () => {
    const other = await api.agent()
    const there = await other.dial()
    there.hello({ capabilities: { ...able, features: ['exec'] } })
    await there.next('snapshot')
    const id = await job({ ...run, cluster: other.cluster }, { ...running, cluster_id: other.cluster })
    expect((await call('POST', '/v1/terminals', { job: id })).body).toMatchObject({ status: 409, code: 'conflict' })
    expect((await call('POST', '/v1/terminals', { job: 'job_none' })).status).toBe(404)
    there.ws.close()
    await there.closed
  })

  it('not by another project, nor without the scope', async () => {
    const id = await job(run)
    const terminal = await enter(id)
    const { body: other } = await call('POST', '/v1/projects', { name: 'other' })
    const minted = async (project: string, scopes: string[]) =>
      (await call('POST', '/v1/tokens', { name: 'x', project, user: 'eve', scopes })).body.token as string
    const stranger = await minted(other.id, ['exec', 'jobs:read', 'jobs:write'])
    expect((await call('POST', '/v1/terminals', { job: id }, stranger)).status).toBe(404)
    expect((await call('GET', `/v1/terminals/${terminal.id}`, undefined, stranger)).status).toBe(404)
    expect((await call('GET', `/v1/terminals?job=${id}`, undefined, stranger)).body.data).toEqual([])
    expect((await call('DELETE', `/v1/terminals?job=${id}`, undefined, stranger)).status).toBe(204)
    expect((await row(terminal.id))!.status).toBe('created')
    const weak = await minted(terminal.project, ['jobs:read', 'jobs:write'])
    expect((await call('POST', '/v1/terminals', { job: id }, weak)).status).toBe(403)
  })

  it.each<[string, object, (id: string) => Promise<unknown>]>([
    ['a run that is over', run, id => set(id, over)],
    ['a run that is tried again', run, id => set(id, { status: 'queued', attempt: 2, cluster_id: null, started_at: null })],
    ['a manifest that is deleted', manifest, id => set(id, { desired: 'deleted' })],
  ])('ends with %s, and the agent is told', async (_, body, end) => {
    const id = await job(body)
    const terminal = await enter(id)
    const viewer = await opened(terminal.id)
    await end(id)
    await sweep()
    expect(await row(terminal.id)).toMatchObject({ status: 'ended', cause: 'session_ended' })
    await vi.waitFor(async () => expect((await link.next('delta')).ended_terminals).toContain(terminal.id), { timeout: 20_000 })
    viewer.ws.close()
  })
})
