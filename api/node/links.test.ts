/** Control links over real sockets and Postgres: what an agent says becomes rows, events and answers. */
import { once } from 'node:events'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { clusters, events, grants, sessions } from '#db/schema.ts'
import { echo, type FakeAgent } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'

let api: NodeApi
let agent: FakeAgent
beforeAll(async () => {
  api = await nodeApi()
})
afterAll(() => api?.close())

const get = async (path: string) => {
  const answer = await fetch(api.url + path, { headers: { authorization: `Bearer ${api.admin}` } })
  return (await answer.json()) as Record<string, unknown>
}
const load = { sessions: 1, streams: 0, cpu_millis_used: null, memory_bytes_used: null }
const seen = (id: string, phase: string) => ({
  kind: 'session',
  id,
  generation: 1,
  phase,
  phases: [{ phase: 'display_ready', age_ms: 1_000 }],
  idle_ms: null,
  display: { width: 1280, height: 800 },
  versions: {},
  notes: [],
  pod: null,
})

it('tells the agent what should be, and everybody what is', async () => {
  agent = await api.agent()
  const id = await api.session(agent.cluster)
  await api.db.update(sessions).set({ status: 'starting' }).where(eq(sessions.id, id))
  const link = await agent.dial()
  expect((await get(`/v1/clusters/${agent.cluster}`)).status).toBe('offline')
  link.hello()
  const { epoch } = await link.next('welcome')
  expect(await link.next('snapshot')).toMatchObject({ complete: true, items: [{ id, state: 'running', generation: 1 }] })
  expect(await get(`/v1/clusters/${agent.cluster}`)).toMatchObject({
    status: 'online',
    agent_version: '0.0.0-fake',
    runtime: 'local',
  })

  link.send({ type: 'report', epoch, seq: 1, complete: true, items: [seen(id, 'running')], load })
  expect(await link.next('report_ack')).toMatchObject({ seq: 1 })
  expect(await get(`/v1/sessions/${id}`)).toMatchObject({ status: 'running', display: { width: 1280, height: 800 } })
  link.send({
    type: 'report',
    epoch,
    seq: 1,
    complete: true,
    items: [{ ...seen(id, 'ended'), cause: 'failed', reason: 'late' }],
    load,
  })
  expect(await link.next('report_ack')).toMatchObject({ seq: 1 })
  expect((await get(`/v1/sessions/${id}`)).status).toBe('running')

  link.ws.terminate()
  await vi.waitFor(async () => expect((await get(`/v1/clusters/${agent.cluster}`)).status).toBe('offline'), { timeout: 30_000 })
  expect((await get(`/v1/sessions/${id}`)).status).toBe('unreachable')
  const told = (await api.db.select().from(events).where(eq(events.type, 'cluster.updated')).orderBy(events.seq)).map(
    event => (event.data as { cluster: { id: string; status: string } }).cluster,
  )
  expect(told.filter(cluster => cluster.id === agent.cluster).map(cluster => cluster.status)).toEqual(['online', 'offline'])
})

it('finds changes by itself when nobody nudges', async () => {
  const link = await agent.link()
  await api.db.transaction(async tx => {
    await tx.update(clusters).set({ seq: 9 }).where(eq(clusters.id, agent.cluster))
    await tx.update(sessions).set({ change_seq: 9, desired: 'stopped' }).where(eq(sessions.cluster_id, agent.cluster))
  })
  expect(await link.next('delta')).toMatchObject({ seq: 9, items: [{ state: 'stopped' }] })
  link.ws.terminate()
})

it.each([
  ['binary', (ws: WebSocketLike) => ws.send(Buffer.from('{}')), 4400],
  ['too much at once', (ws: WebSocketLike) => ws.send('x'.repeat(1024 * 1024 + 1)), 1009],
  ['no JSON', (ws: WebSocketLike) => ws.send('hello'), 4400],
])('ends a link that sends %s', async (_, send, code) => {
  const link = await agent.dial()
  send(link.ws)
  expect((await link.closed).code).toBe(code)
})
interface WebSocketLike {
  send(data: string | Buffer): void
}

it('takes a burst of reports one by one, without losing one', async () => {
  const link = await agent.dial()
  link.hello()
  const { epoch } = await link.next('welcome')
  for (let seq = 1; seq <= 200; seq++) link.send({ type: 'report', epoch, seq, complete: false, items: [], load })
  for (let seq = 1; seq <= 200; seq++) expect((await link.next('report_ack')).seq).toBe(seq)
  link.ws.terminate()
})

it('tells a returning agent which of its streams nobody knows', async () => {
  const id = await api.session(agent.cluster)
  const link = await agent.link()
  link.serve(open => void echo(open))
  const viewer = api.viewer(`/v1/sessions/${id}/vnc`)
  await viewer.open
  const [known] = (await api.db.select().from(grants).where(eq(grants.session_id, id))).map(grant => grant.id)
  link.send({ type: 'streams', streams: ['str_unknown', known!] })
  expect(await link.next('close')).toMatchObject({ stream: 'str_unknown', code: 4404 })
  viewer.ws.close()
  await viewer.closed
  expect(viewer.ws.readyState).toBe(3)
  link.ws.terminate()
})

it('outlives a database whose connections all break: link, streams, changes and reports', async () => {
  const id = await api.session(agent.cluster)
  const link = await agent.dial()
  link.hello()
  const { epoch } = await link.next('welcome')
  await link.next('snapshot')
  link.serve(open => void echo(open))
  const viewer = api.viewer(`/v1/sessions/${id}/vnc`)
  await viewer.open
  for (let seq = 1; seq <= 3; seq++) {
    await api.db.execute(sql`
      select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'porthole-api'`)
    link.send({ type: 'report', epoch, seq, complete: false, items: [seen(id, 'running')], load })
    expect((await link.next('report_ack')).seq).toBe(seq)
    viewer.ws.send(String(seq))
    expect(String((await once(viewer.ws, 'message'))[0])).toBe(String(seq))
  }
  await api.db.transaction(async tx => {
    await tx.update(clusters).set({ seq: 99 }).where(eq(clusters.id, agent.cluster))
    await tx.update(sessions).set({ change_seq: 99 }).where(eq(sessions.id, id))
  })
  expect(await link.next('delta')).toMatchObject({ seq: 99 })
  expect([link.ws.readyState, viewer.ws.readyState]).toEqual([1, 1])
  viewer.ws.close()
  await viewer.closed
  link.ws.terminate()
})

it('lets agents and viewers go with the right words when it ends', async () => {
  const other = await nodeApi()
  const theirs = await other.agent()
  const id = await other.session(theirs.cluster)
  const link = await theirs.link()
  link.serve(open => void echo(open))
  const viewer = other.viewer(`/v1/sessions/${id}/vnc`)
  await viewer.open
  const began = performance.now()
  const closing = other.close()
  expect(await link.next('goaway')).toBeTruthy()
  expect([(await link.closed).code, (await viewer.closed).code]).toEqual([1001, 1001])
  await closing
  expect(performance.now() - began).toBeLessThan(6_000)
})
