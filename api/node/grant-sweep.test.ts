import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { grants, projects, sessions, tokens } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { dialData, echo, type FakeAgent } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { mintUserToken } from '../tokens/format.ts'
import { sha256 } from './platform.ts'

let api: NodeApi
let agent: FakeAgent
const logSocket = Promise.withResolvers<WebSocket>()
beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  const link = await agent.link()
  link.serve(open => {
    if (open.kind !== 'logs') return void echo(open)
    const dialled = dialData(open)
    logSocket.resolve(dialled)
    void dialled.then(ws => ws.send(JSON.stringify({ type: 'head', status: 200, headers: {} })))
  })
})
afterAll(() => api?.close())

async function held() {
  const project = newId('prj')
  await api.db.insert(projects).values({ id: project, name: project, quotas: {} as never })
  const session = await api.session(agent.cluster)
  await api.db.update(sessions).set({ project_id: project }).where(eq(sessions.id, session))
  const id = newId('tok')
  const token = mintUserToken(project, 'ann')
  await api.db.insert(tokens).values({
    id,
    project_id: project,
    user_id: 'ann',
    name: 'ann',
    hash: sha256(token),
    last4: token.slice(-4),
    scopes: ['sessions:connect', 'sessions:read'],
  })
  const viewer = api.viewer(`/v1/sessions/${session}/vnc`, { token })
  await viewer.open
  return { ...viewer, project, session, token: id }
}
type Held = Awaited<ReturnType<typeof held>>

it.each([
  [
    'its token is revoked',
    4403,
    ({ token }: Held) => api.db.update(tokens).set({ revoked_at: new Date() }).where(eq(tokens.id, token)),
  ],
  [
    'its token expires',
    4401,
    ({ token }: Held) => api.db.update(tokens).set({ expires_at: new Date() }).where(eq(tokens.id, token)),
  ],
  [
    'its token was rotated and the grace is over',
    4401,
    ({ token }: Held) => api.db.update(tokens).set({ grace_until: new Date() }).where(eq(tokens.id, token)),
  ],
  [
    'its project is suspended',
    4403,
    ({ project }: Held) => api.db.update(projects).set({ suspended_at: new Date() }).where(eq(projects.id, project)),
  ],
  [
    'its session is to be deleted',
    4410,
    ({ session }: Held) => api.db.update(sessions).set({ desired: 'deleted' }).where(eq(sessions.id, session)),
  ],
])('a stream ends when %s, others go on', async (_, code, act) => {
  const [one, other] = [await held(), await held()]
  await act(one)
  await api.tunnel.streams.sweep()
  expect((await one.closed).code).toBe(code)
  expect(other.ws.readyState).toBe(1)
  other.ws.close()
  await other.closed
})

it('the log of a session that ended is not cut', async () => {
  const { ws, closed, session } = await held()
  ws.close()
  await closed
  const { token } = api.adminToken
  const answer = await fetch(`${api.url}/v1/sessions/${session}/logs?follow`, { headers: { authorization: `Bearer ${token}` } })
  await api.db
    .update(sessions)
    .set({ status: 'stopped', desired: 'stopped', ended_at: new Date() })
    .where(eq(sessions.id, session))
  await api.tunnel.streams.sweep()
  const reader = answer.body!.getReader()
  const agentSide = await logSocket.promise
  agentSide.send(new TextEncoder().encode('line\n'))
  expect((await reader.read()).value).toEqual(new TextEncoder().encode('line\n'))
  await reader.cancel()
})

it('rows that nobody carries are closed, those of dead replicas too', async () => {
  const { ws, closed, session } = await held()
  const [row] = await api.db.select().from(grants).where(eq(grants.session_id, session))
  const lost = ['str_lost_here', 'str_lost_there']
  for (const [i, id] of lost.entries()) {
    await api.db
      .insert(grants)
      .values({ ...row!, id, replica_id: i ? 'rep_dead' : api.replica, opened_at: new Date(Date.now() - 120_000) })
  }
  await api.db
    .update(grants)
    .set({ opened_at: new Date(Date.now() - 120_000) })
    .where(eq(grants.id, row!.id))
  await api.tunnel.streams.sweepLost()
  const open = await api.db.select({ id: grants.id }).from(grants).where(sql`${grants.closed_at} is null`)
  expect(open).toEqual([{ id: row!.id }])
  ws.close()
  await closed
})
