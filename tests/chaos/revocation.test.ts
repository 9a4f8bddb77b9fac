/** A revoked token's stream ends within 15 s: on another replica, also when that one's line to the database is cut, or the line to it. */
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { WebSocket } from 'ws'
import { FaultProxy } from '#agent/testing/fault-proxy.ts'
import type { RunningApi } from '#api/node/start.ts'
import { dialData, type FakeAgent, type FakeLink } from '#api/testing/fake-agent.ts'
import { type NodeApi, nodeApi } from '#api/testing/node-api.ts'
import { viewer } from '#api/testing/platform-api.ts'
import { replicas } from '#db/schema.ts'

let a: NodeApi
let b: RunningApi
let proxy: FaultProxy
let agent: FakeAgent
let link: FakeLink
const legs = new Map<string, WebSocket>()
beforeEach(async () => {
  a = await nodeApi()
  const database = new URL(a.databaseUrl)
  proxy = await FaultProxy.start(`http://127.0.0.1:${database.port}`)
  database.port = new URL(proxy.origin).port
  b = await a.replicaOf({ DATABASE_URL: database.href })
  agent = await a.agent()
  link = await agent.link()
  link.serve(open => void dialData(open, ws => legs.set(open.stream, ws)))
})
afterEach(async () => {
  await proxy?.stop()
  await a?.close()
})

const call = async (method: string, path: string, body?: object) =>
  fetch(`${a.url}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${a.admin}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })

/** A stream on B, held by a token of its own. */
async function held() {
  const made = (await (await call('POST', '/tokens', { name: 'x', scopes: ['sessions:connect'] })).json()) as {
    id: string
    token: string
  }
  const session = await a.session(agent.cluster)
  const watched = viewer(b.url, `/v1/sessions/${session}/vnc`, { token: made.token })
  await watched.open
  return { ...watched, revoke: async () => expect((await call('DELETE', `/tokens/${made.id}`)).status).toBe(204) }
}

it('though its replica can no longer ask the database', async () => {
  const { closed, revoke } = await held()
  proxy.mode = 'blackhole'
  const start = performance.now()
  await revoke()
  expect((await closed).code).toBe(4401)
  expect(performance.now() - start).toBeLessThan(15_000)
})

it('though its replica cannot be told either: the agent ends its leg', async () => {
  const { closed, revoke } = await held()
  proxy.mode = 'blackhole'
  await a.db.update(replicas).set({ url: 'http://127.0.0.1:1' }).where(eq(replicas.id, b.replica))
  const start = performance.now()
  await revoke()
  const told = await link.next('close')
  expect(told.code).toBe(4401)
  legs.get(told.stream)!.close(told.code, told.reason)
  expect((await closed).code).toBe(4401)
  expect(performance.now() - start).toBeLessThan(15_000)
})
