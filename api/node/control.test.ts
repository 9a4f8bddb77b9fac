/** Control changes hands over real sockets: the agent is told on its link, also from another replica, also when the nudge was lost. */
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { sessions } from '#db/schema.ts'
import { echo, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { viewer } from '../testing/platform-api.ts'
import type { RunningApi } from './start.ts'

let api: NodeApi
let other: RunningApi
let agent: FakeAgent
let link: FakeLink
let session: string
beforeAll(async () => {
  api = await nodeApi()
  other = await api.replicaOf()
  agent = await api.agent()
  link = await agent.link()
  link.serve(open => void echo(open))
  session = await api.session(agent.cluster)
})
afterAll(() => api?.close())

const call = async (url: string, method: string, path: string, body?: object) => {
  const answer = await fetch(`${url}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${api.admin}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return answer.json() as Promise<Record<string, string>>
}

async function open(at: string, role: 'view' | 'control') {
  const shared = await call(api.url, 'POST', `/sessions/${session}/links`, { role })
  const ticket = await call(at, 'POST', '/links/tickets', { link: new URL(shared.url!).hash.slice(1) })
  const { ws, open } = viewer(at, `/v1/sessions/${session}/vnc`, { protocols: ['binary', `ticket.${ticket.ticket}`] })
  await open
  return { ws, id: ticket.viewer! }
}

/** The next role that the agent is told of this stream. */
async function told(stream: string): Promise<string> {
  for (;;) {
    const { streams } = await link.next('renew')
    const mine = streams.find(renewed => renewed.stream === stream)
    if (mine?.role) return mine.role
  }
}

it.each([
  ['the replica that holds the link', () => api.url],
  ['another replica', () => other.url],
])('a viewer on %s loses and gets control while its socket stays open', async (_, at) => {
  const friend = await open(at(), 'control')
  // Asked of the replica that does not hold the viewer.
  const asked = at() === api.url ? other.url : api.url
  const taken = told(friend.id)
  await call(asked, 'PUT', `/sessions/${session}/control`, { mode: 'single' })
  expect(await taken).toBe('view')
  const given = told(friend.id)
  await call(asked, 'PUT', `/sessions/${session}/control`, { mode: 'single', viewer: friend.id })
  expect(await given).toBe('control')
  expect(friend.ws.readyState).toBe(1)
  await call(asked, 'PUT', `/sessions/${session}/control`, { mode: 'shared' })
  friend.ws.close()
})

it('without a nudge the next look finds it, and each renewal repeats it', async () => {
  const friend = await open(api.url, 'control')
  await api.db.update(sessions).set({ control: 'single' }).where(eq(sessions.id, session))
  const found = told(friend.id)
  await api.tunnel.recheckHere()
  expect(await found).toBe('view')
  const repeated = told(friend.id)
  await api.tunnel.renew()
  expect(await repeated).toBe('view')
  friend.ws.close()
})
