/** Two replicas on one database: the agent's link on one, viewers on the other, data sockets anywhere. */
import { once } from 'node:events'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { clusters, sessions } from '#db/schema.ts'
import type { Open } from '#protocol/link-messages.ts'
import { dialData, echo, type FakeAgent } from '../testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'
import { type Refusal, viewer } from '../testing/platform-api.ts'
import { peerPath } from './peers.ts'
import type { RunningApi } from './start.ts'

let a: NodeApi
let b: RunningApi
let agent: FakeAgent
let session: string
beforeAll(async () => {
  a = await nodeApi()
  b = await a.replicaOf()
  agent = await a.agent()
  session = await a.session(agent.cluster)
})
afterAll(() => a?.close())
const at = (api: RunningApi, path: string) => viewer(api.url, path, { token: a.admin })
const say = async (ws: WebSocket, text: string) => {
  ws.send(text)
  return String((await once(ws, 'message'))[0])
}
/** The data socket's address as a load balancer may change it. */
const landingOn = (open: Open, api: RunningApi): Open => ({
  ...open,
  url: open.url.replace(/^ws:\/\/[^/]+/, api.url.replace(/^http/, 'ws')),
})

it.each([
  ['where the link is', () => a],
  ['where the viewer is', () => b],
])('a viewer on another replica than the link meets its session; the data socket lands %s', async (_, landing) => {
  const link = await agent.link()
  link.serve(open => void echo(landingOn(open, landing())))
  const { ws, open, closed } = at(b, `/v1/sessions/${session}/vnc`)
  await open
  expect(await say(ws, 'hello')).toBe('hello')
  const big = 'x'.repeat(5_000_000)
  expect(await say(ws, big)).toBe(big)
  ws.close(1000)
  await closed
  await vi.waitFor(() => expect(b.tunnel.streams.size).toBe(0), { timeout: 30_000 })
  link.ws.terminate()
  await vi.waitFor(() => expect(a.tunnel.links.size).toBe(0), { timeout: 30_000 })
})

it('refusals, cancels and forced ends find their way to the other replica', async () => {
  const link = await agent.link()
  link.serve(({ stream }) =>
    link.send({ type: 'refused', stream, status: 502, code: 'target_refused', detail: 'Nothing listens.' }),
  )
  const refused = (await at(b, `/v1/sessions/${session}/vnc`).open.catch((thrown: unknown) => thrown)) as Refusal
  expect([refused.status, refused.body.detail]).toEqual([502, 'Nothing listens.'])

  const asked = new Promise<Open>(resolve => link.serve(resolve))
  const leaving = at(b, `/v1/sessions/${session}/vnc`)
  const { stream } = await asked
  leaving.ws.terminate()
  expect(await link.next('close')).toMatchObject({ stream })

  const opened = new Promise<Open>(resolve =>
    link.serve(open => {
      void echo(open)
      resolve(open)
    }),
  )
  const held = at(b, `/v1/sessions/${session}/vnc`)
  await held.open
  await a.tunnel.end([(await opened).stream], 'revoked')
  expect(await held.closed).toEqual({ code: 4403, reason: 'revoked' })
  link.ws.terminate()
  await vi.waitFor(() => expect(a.tunnel.links.size).toBe(0), { timeout: 30_000 })
})

it('a newer link on another replica ends the older one', async () => {
  const old = await agent.link()
  const young = await agent.at(b.url).link()
  expect((await old.closed).code).toBe(4409)
  const [row] = await a.db.select().from(clusters).where(eq(clusters.id, agent.cluster))
  expect(row!.link_replica_id).toBe(b.replica)
  young.serve(open => void echo(open))
  const { ws, open } = at(a, `/v1/sessions/${session}/vnc`)
  await open
  expect(await say(ws, 'over there')).toBe('over there')
  ws.close()
  young.ws.terminate()
  await vi.waitFor(() => expect(b.tunnel.links.size).toBe(0), { timeout: 30_000 })
})

it('32 links that race on both replicas leave exactly one, the newest', async () => {
  const racers = await Promise.all(Array.from({ length: 32 }, (_, i) => agent.at(i % 2 ? a.url : b.url).dial()))
  const epochs = await Promise.all(
    racers.map(async link => {
      link.hello()
      const welcome = await Promise.race([link.next('welcome'), link.closed])
      return 'epoch' in welcome ? welcome.epoch : 0
    }),
  )
  const newest = epochs.indexOf(Math.max(...epochs))
  const losers = racers.filter((_, i) => i !== newest)
  expect(new Set((await Promise.all(losers.map(link => link.closed))).map(end => end.code))).toEqual(new Set([4409]))
  expect(racers[newest]!.ws.readyState).toBe(1)
  await vi.waitFor(() => expect(a.tunnel.links.size + b.tunnel.links.size).toBe(1), { timeout: 30_000 })
  racers[newest]!.ws.terminate()
  await vi.waitFor(() => expect(a.tunnel.links.size + b.tunnel.links.size).toBe(0), { timeout: 30_000 })
})

it('a change made through one replica reaches an agent on the other without waiting for the poll', async () => {
  const link = await agent.at(b.url).link()
  await a.db.transaction(async tx => {
    await tx.update(clusters).set({ seq: 7 }).where(eq(clusters.id, agent.cluster))
    await tx.update(sessions).set({ change_seq: 7, desired: 'stopped' }).where(eq(sessions.id, session))
  })
  await a.tunnel.nudge(agent.cluster)
  expect(await link.next('delta')).toMatchObject({ seq: 7, items: [{ id: session, state: 'stopped' }] })
  await a.db.update(sessions).set({ desired: 'running' }).where(eq(sessions.id, session))
  link.ws.terminate()
})

it('the door between replicas opens for nobody else', async () => {
  for (const secret of ['', 'x'.repeat(43)]) {
    const answer = await fetch(a.url + peerPath, { method: 'POST', headers: { 'x-porthole-peer': secret }, body: '{}' })
    expect(answer.status).toBe(404)
  }
})

it('a data socket whose home has died is told so', async () => {
  const link = await agent.link()
  const asked = new Promise<Open>(resolve => link.serve(resolve))
  const waiting = at(b, `/v1/sessions/${session}/vnc`)
  const open = await asked
  await a.db.execute(`update replicas set url = 'http://127.0.0.1:1' where id = '${b.replica}'`)
  await expect(dialData(landingOn(open, a))).rejects.toThrow('503')
  waiting.ws.terminate()
  link.ws.terminate()
})
