/** Live output of jobs over the real server and Postgres: whose can be read, and what everybody else is told. Its flow is in exchange-conformance.ts. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { jobs } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { capabilities, dialData, type FakeAgent, type FakeLink } from '../../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../../testing/node-api.ts'

let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let opens: Open[]
const able = { ...capabilities, jobs: { types: ['run', 'manifest', 'deploy'], capacity: 100 } }
const page = [{ type: 'head', status: 200, headers: { 'x-log-stream': 'web-1/main' } }, 'hello\n', { type: 'end' }]

beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  link = await agent.dial()
  link.hello({ capabilities: { ...able, features: ['logs_jobs'] } })
  await link.next('snapshot')
  opens = []
  link.serve(async open => {
    opens.push(open)
    const { pod } = open.target.logs ?? {}
    if (pod === 'gone') {
      const told = { status: 409, code: 'job_not_running', detail: 'no pod of the job runs' }
      return link.send({ type: 'refused', stream: open.stream, ...told })
    }
    const ws = await dialData(open)
    for (const part of pod === 'cut' ? page.slice(0, -1) : page)
      ws.send(typeof part === 'string' ? Buffer.from(part) : JSON.stringify(part))
    // Breaks off without saying that it is whole.
    if (pod === 'cut') ws.terminate()
  })
})
afterAll(() => api?.close())

async function call(method: string, path: string, body?: unknown, token = api.admin) {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  const json = answer.headers.get('content-type')?.includes('json')
  // biome-ignore lint/suspicious/noExplicitAny: answers of every shape
  return { status: answer.status, body: (json ? JSON.parse(text) : text) as any }
}
const over = { status: 'succeeded', started_at: new Date(), ended_at: new Date(), cause: 'exit' } as const
async function job(body: object, change: Partial<typeof jobs.$inferInsert> = over): Promise<string> {
  const { body: made } = await call('POST', '/v1/jobs', { cluster: agent.cluster, ...body })
  await api.db
    .update(jobs)
    .set({ cluster_id: agent.cluster, ...change })
    .where(eq(jobs.id, made.id))
  return made.id
}
const live = (id: string, query = '', token?: string) => call('GET', `/v1/jobs/${id}/logs?live=true${query}`, undefined, token)
const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n'
const manifest = { type: 'manifest', yaml }

describe('live output of a job', () => {
  it.each([
    ['a manifest', { ...manifest, set: 'shop', namespace: 'team' }, { type: 'manifest', set: 'shop', namespace: 'team' }],
    ['a deploy', { type: 'deploy', mappings: { 'web/main': 'a:1' } }, { type: 'deploy', services: ['web/main'] }],
  ])('the agent is told what it finds the pods of %s by', async (_, body, of) => {
    const id = await job(body)
    expect(await live(id)).toMatchObject({ status: 200, body: 'hello\n' })
    expect(opens.at(-1)).toMatchObject({ session: id, kind: 'logs', role: 'view', target: { logs: { follow: false, job: of } } })
    expect((await call('GET', `/v1/jobs/${id}/logs`)).body).toBe('')
  })

  it('what the agent refuses is the answer, and one that breaks off is not taken for whole', async () => {
    const id = await job(manifest)
    const body = { code: 'job_not_running', detail: 'no pod of the job runs' }
    expect(await live(id, '&pod=gone')).toMatchObject({ status: 409, body })
    await expect(live(id, '&pod=cut')).rejects.toThrow()
  })

  it.each<[string, object, Partial<typeof jobs.$inferInsert>, object]>([
    ['a run', { type: 'run', command: 'true' }, over, { code: 'conflict', detail: expect.stringContaining('without `live`') }],
    ['one that waits', manifest, { status: 'queued', started_at: null }, { code: 'job_not_running' }],
    ['a dry run', { ...manifest, dry_run: true }, over, { code: 'job_not_running', detail: expect.stringContaining('dry run') }],
    ['a removal', { ...manifest, action: 'delete' }, over, { code: 'job_not_running' }],
  ])('not of %s', async (_, body, change, problem) => {
    expect(await live(await job(body, change))).toMatchObject({ status: 409, body: problem })
  })

  it('is of no attempt', async () => {
    const answer = await live(await job(manifest), '&attempt=1')
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: '?attempt' }] } })
  })

  it('not of another project’s, of one that is deleted, nor without the scope', async () => {
    const id = await job(manifest)
    const { body: other } = await call('POST', '/v1/projects', { name: 'other' })
    const { project } = (await call('GET', `/v1/jobs/${id}`)).body
    const minted = async (of: string, scopes: string[]) =>
      (await call('POST', '/v1/tokens', { name: 'x', project: of, user: 'eve', scopes })).body.token as string
    expect((await live(id, '', await minted(other.id, ['jobs:read', 'exec']))).status).toBe(404)
    expect((await live(id, '', await minted(project, ['jobs:write']))).status).toBe(403)
    expect((await live(id, '', await minted(project, ['jobs:read']))).status).toBe(200)
    await api.db.update(jobs).set({ desired: 'deleted' }).where(eq(jobs.id, id))
    expect((await live(id)).status).toBe(404)
  })

  it('an agent that does not offer it, or cannot be reached', async () => {
    const other = await api.agent()
    const there = await other.dial()
    there.hello({ capabilities: { ...able, features: ['exec_jobs'] } })
    await there.next('snapshot')
    const id = await job({ ...manifest, cluster: other.cluster }, { ...over, cluster_id: other.cluster })
    const detail = expect.stringContaining('no live output of jobs')
    expect(await live(id)).toMatchObject({ status: 409, body: { code: 'conflict', detail } })
    there.ws.close()
    await there.closed
    const never = await api.agent()
    await api.db.update(jobs).set({ cluster_id: never.cluster }).where(eq(jobs.id, id))
    await vi.waitFor(async () => expect(await live(id)).toMatchObject({ status: 503, body: { code: 'cluster_offline' } }))
  })
})
