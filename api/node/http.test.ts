import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { WebSocket } from 'ws'
import { CreditWindow, type HttpFrame } from '#protocol/http-frames.ts'
import type { Open } from '#protocol/link-messages.ts'
import { dialData, type FakeAgent, type FakeLink } from '../testing/fake-agent.ts'
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

/** The agent's side of one exchange: what came, and how to answer. */
class Host {
  readonly ws: WebSocket
  readonly window = new CreditWindow()
  readonly hash = createHash('sha256')
  taken = 0
  /** While false, nothing that comes is granted. */
  grants = true
  readonly bodyEnd: Promise<void>
  constructor(ws: WebSocket) {
    this.ws = ws
    this.bodyEnd = new Promise(done => {
      ws.on('message', (data, binary) => {
        if (binary) {
          this.taken += (data as Buffer).length
          this.hash.update(data as Buffer)
          if (this.grants) this.frame({ type: 'credit', total: this.taken })
        } else {
          const frame = JSON.parse(data.toString()) as HttpFrame
          if (frame.type === 'credit') this.window.grant(frame.total)
          else if (frame.type === 'end') done()
        }
      })
    })
    ws.on('close', () => this.window.fail(new Error('closed')))
  }
  frame(frame: HttpFrame): void {
    this.ws.send(JSON.stringify(frame))
  }
  async send(bytes: Uint8Array, times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      for (let at = 0; at < bytes.length; ) {
        await this.window.waitForRoom()
        const piece = bytes.subarray(at, at + Math.min(64 * 1024, this.window.room))
        at += piece.length
        this.window.spend(piece.length)
        this.ws.send(piece)
      }
    }
  }
}
const next = () =>
  new Promise<{ open: Open; host: Host }>(serve =>
    link.serve(async open => {
      let host!: Host
      await dialData(open, ws => {
        host = new Host(ws)
        host.grants = grantsFromStart
      })
      serve({ open, host })
    }),
  )
let grantsFromStart = true
const idle = () => vi.waitFor(() => expect(api.tunnel.streams.size).toBe(0), { timeout: 10_000 })

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
  await vi.waitFor(() => expect(host.taken).toBe(256 * 1024))
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

it('holds a download that nobody reads, and lets go when the reader leaves', async () => {
  const asked = next()
  const incoming = request(`${api.url}${files}slow.bin`, { headers: authorization() })
  incoming.on('error', () => {})
  incoming.end()
  const answered = once(incoming, 'response')
  const { host } = await asked
  host.frame({ type: 'head', status: 200, headers: {} })
  let sent = 0
  const sending = (async () => {
    for (;;) {
      await host.send(new Uint8Array(MB), 1)
      sent++
    }
  })().catch(() => {})
  await answered
  await new Promise(turn => setTimeout(turn, 500))
  const soFar = sent
  await new Promise(turn => setTimeout(turn, 500))
  expect(sent).toBe(soFar)
  const closed = once(host.ws, 'close')
  incoming.destroy()
  expect((await closed)[0]).toBe(1001)
  await sending
  await idle()
})

it('a download that is cut does not look whole', async () => {
  const asked = next()
  const answer = fetch(`${api.url}${files}cut.bin`, { headers: authorization() })
  const { host } = await asked
  host.frame({ type: 'head', status: 200, headers: {} })
  host.ws.send(new Uint8Array(1000))
  const body = (await answer).arrayBuffer()
  host.ws.terminate()
  await expect(body).rejects.toThrow()
  await idle()
})

it('an upload whose client leaves is never completed', async () => {
  const asked = next()
  const outgoing = request(`${api.url}${files}part.bin`, {
    method: 'PUT',
    headers: { ...authorization(), 'content-length': 1000 },
  })
  outgoing.on('error', () => {})
  outgoing.write(Buffer.alloc(500))
  const { host } = await asked
  const closed = once(host.ws, 'close')
  let whole = false
  void host.bodyEnd.then(() => {
    whole = true
  })
  outgoing.destroy()
  await closed
  expect(whole).toBe(false)
  await idle()
})
