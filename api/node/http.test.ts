/** How much memory exchanges hold on Node; how they behave is in the conformance suite. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { Open } from '#protocol/link-messages.ts'
import { dialData, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
import { HostDouble } from '../testing/host-double.ts'
import { type NodeApi, nodeApi } from '../testing/node-api.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void
const MB = 1024 * 1024
let api: NodeApi
let agent: FakeAgent
let link: FakeLink
let files: string
beforeAll(async () => {
  api = await nodeApi()
  agent = await api.agent()
  link = await agent.link()
  files = `/v1/sessions/${await api.session(agent.cluster)}/files/`
})
afterAll(() => api?.close())
const authorization = () => ({ authorization: `Bearer ${api.admin}` })

const next = () =>
  new Promise<{ open: Open; host: HostDouble }>(serve =>
    link.serve(async open => {
      let host!: HostDouble
      await dialData(open, ws => {
        host = new HostDouble(ws, grantsFromStart)
      })
      serve({ open, host })
    }),
  )
let grantsFromStart = true
const idle = () => vi.waitFor(() => expect(api.tunnel.streams.size).toBe(0), { timeout: 30_000 })

it('streams 100 MB down with flat memory, and to the last byte', { timeout: 180_000 }, async () => {
  const asked = next()
  const answer = fetch(`${api.url}${files}big.bin`, { headers: authorization() })
  const { open, host } = await asked
  expect(open).toMatchObject({ kind: 'http', target: { request: { method: 'GET', path: '/files/big.bin' } } })
  const part = randomBytes(MB)
  const hash = createHash('sha256')
  for (let i = 0; i < 100; i++) hash.update(part)
  host.frame({ type: 'head', status: 200, headers: { 'content-type': 'application/octet-stream' } })
  const sending = host.send(part, 100).then(() => host.frame({ type: 'end' }))
  const held = async () => {
    // What one collection frees is given back in the background.
    for (let i = 0; i < 2; i++) {
      collectGarbage()
      await new Promise(turn => setTimeout(turn, 20))
    }
    return process.memoryUsage().arrayBuffers
  }
  const before = await held()
  let most = 0
  let bytes = 0
  const seen = createHash('sha256')
  for await (const chunk of (await answer).body!) {
    seen.update(chunk)
    bytes += chunk.length
    if (Math.floor(bytes / (10 * MB)) > Math.floor((bytes - chunk.length) / (10 * MB))) most = Math.max(most, await held())
  }
  await sending
  expect(seen.digest('hex')).toBe(hash.digest('hex'))
  // Reader, API and agent are all in this process.
  expect(most - before).toBeLessThan(16 * MB)
  await idle()
})

it('streams 100 MB up, no faster than the session takes it', { timeout: 180_000 }, async () => {
  grantsFromStart = false
  const asked = next()
  const part = randomBytes(MB)
  const outgoing = request(`${api.url}${files}up.bin`, {
    method: 'PUT',
    headers: { ...authorization(), 'content-length': 100 * MB, 'content-type': 'application/octet-stream' },
  })
  const answered = once(outgoing, 'response')
  const hash = createHash('sha256')
  let written = 0
  const writing = (async () => {
    for (; written < 100; written++) {
      hash.update(part)
      if (!outgoing.write(part)) await once(outgoing, 'drain')
    }
    outgoing.end()
  })()
  const { host } = await asked
  grantsFromStart = true
  await vi.waitFor(() => expect(host.taken).toBe(256 * 1024), { timeout: 30_000 })
  await new Promise(turn => setTimeout(turn, 300))
  expect(host.taken).toBe(256 * 1024)
  expect(written).toBeLessThan(30)
  host.grants = true
  host.frame({ type: 'credit', total: host.taken })
  await host.bodyEnd
  host.frame({ type: 'head', status: 204, headers: {} })
  host.frame({ type: 'end' })
  const [answer] = await answered
  expect(answer.statusCode).toBe(204)
  await writing
  expect([host.taken, host.hash.digest('hex')]).toEqual([100 * MB, hash.digest('hex')])
  await idle()
})
