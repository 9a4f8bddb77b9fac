import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { Relay, type RelayEnd } from './relay.ts'

const serverOptions = { port: 0, host: '127.0.0.1', perMessageDeflate: false, maxPayload: 32 << 20, closeTimeout: 1_000 }

/** Accepts what clients dial, the way the API does. */
let server: WebSocketServer
const far: WebSocket[] = []
beforeEach(async () => {
  server = new WebSocketServer(serverOptions)
  await once(server, 'listening')
})
afterEach(async () => {
  for (const ws of [...server.clients, ...far.splice(0)]) ws.terminate()
  await new Promise(closed => server.close(closed))
})

interface Pair {
  viewer: WebSocket
  agent: WebSocket
  relay: Relay
  ended: RelayEnd[]
  gone: number
  time: number
}

async function dial(through?: number): Promise<[far: WebSocket, near: WebSocket]> {
  const accepted = once(server, 'connection') as Promise<[WebSocket]>
  const ws = new WebSocket(`ws://127.0.0.1:${through ?? (server.address() as AddressInfo).port}`, { perMessageDeflate: false })
  far.push(ws)
  ws.on('error', () => {})
  const [near] = await accepted
  near.on('error', () => {})
  if (ws.readyState !== 1) await once(ws, 'open')
  return [ws, near]
}

async function pair(viewerThrough?: number): Promise<Pair> {
  const [viewer, nearViewer] = await dial(viewerThrough)
  const [agent, nearAgent] = await dial()
  nearAgent.pause()
  const made: Pair = { viewer, agent, ended: [], gone: 0, time: 0, relay: undefined as never }
  made.relay = new Relay(nearViewer, nearAgent, {
    now: () => made.time,
    ended: end => void made.ended.push(end),
    gone: () => void made.gone++,
  })
  return made
}
const closing = async (ws: WebSocket) => {
  const [code, reason] = (await once(ws, 'close')) as [number, Buffer]
  return [code, reason.toString()]
}
/** Sends as fast as the socket takes it, until it takes no more for a while. Answers bytes it took. */
async function flood(ws: WebSocket, chunk = Buffer.alloc(64 * 1024)): Promise<number> {
  let taken = 0
  let last = performance.now()
  const more = () => {
    while (ws.readyState === 1 && ws.bufferedAmount < 1 << 20) {
      ws.send(chunk, () => {
        taken += chunk.length
        last = performance.now()
      })
    }
  }
  while (performance.now() - last < 400 && ws.readyState === 1) {
    more()
    await new Promise(turn => setTimeout(turn, 5))
  }
  return taken
}

describe('back-pressure', () => {
  it('stops the source of a viewer that does not read, goes on when it does, and loses nothing', async () => {
    const { viewer, agent } = await pair()
    viewer.pause()
    const taken = await flood(agent)
    // What fits into three sockets' kernel buffers, and no more.
    expect(taken).toBeLessThan(40 << 20)
    agent.send('last')
    let bytes = 0
    viewer.on('message', (data, binary) => {
      if (binary) bytes += (data as Buffer).length
    })
    const last = new Promise<void>(done => viewer.on('message', (_, binary) => !binary && done()))
    viewer.resume()
    await last
    expect(bytes).toBeGreaterThanOrEqual(taken)
  })

  it('holds about a megabyte for each of 50 stalled viewers and still serves the one that reads', {
    timeout: 60_000,
  }, async () => {
    const stalled: Pair[] = []
    for (let i = 0; i < 50; i++) stalled.push(await pair())
    const healthy = await pair()
    for (const { viewer, agent } of stalled) {
      viewer.pause()
      for (let i = 0; i < 16; i++) agent.send(Buffer.alloc(256 * 1024))
    }
    healthy.agent.on('message', data => healthy.agent.send(data))
    for (let i = 0; i < 50; i++) {
      healthy.viewer.send(String(i))
      expect(String((await once(healthy.viewer, 'message'))[0])).toBe(String(i))
    }
    expect(Math.max(...stalled.map(({ relay }) => relay.held))).toBeLessThan(1 << 20)
  })

  it('ends a viewer that takes nothing for two minutes, not one that is only slow', async () => {
    const stuck = await pair()
    stuck.viewer.pause()
    await flood(stuck.agent)
    const over = closing(stuck.agent)
    stuck.relay.check()
    stuck.time = 119_000
    stuck.relay.check()
    expect(stuck.ended).toEqual([])
    stuck.time = 121_000
    stuck.relay.check()
    expect(await over).toEqual([4508, 'stalled'])

    const slow = await pair()
    slow.viewer.pause()
    for (slow.time = 0; slow.time < 600_000; slow.time += 100_000) {
      await flood(slow.agent)
      slow.relay.check()
      slow.viewer.resume()
      for (let read = 0; read < 40; read++) await once(slow.viewer, 'message')
      slow.viewer.pause()
    }
    expect(slow.ended).toEqual([])
  })
})

describe('the end', () => {
  it('of one leg is the end of the other, with its code and reason', async () => {
    const { viewer, agent, ended } = await pair()
    agent.send('x')
    await once(viewer, 'message')
    const seen = closing(agent)
    viewer.close(4401, 'token_ended')
    expect(await seen).toEqual([4401, 'token_ended'])
    expect(ended).toEqual([{ code: 4401, reason: 'token_ended', bytesIn: 0, bytesOut: 1 }])
  })

  it('waits until the other leg has taken what was sent', async () => {
    const { viewer, agent } = await pair()
    viewer.pause()
    for (let i = 0; i < 20; i++) agent.send(Buffer.alloc(512 * 1024))
    agent.close(1000, 'done')
    await new Promise(turn => setTimeout(turn, 1_500))
    let bytes = 0
    viewer.on('message', data => {
      bytes += (data as Buffer).length
    })
    const over = closing(viewer)
    viewer.resume()
    expect(await over).toEqual([1000, 'done'])
    expect(bytes).toBe(20 * 512 * 1024)
  })

  it('of an agent behind a viewer that takes nothing comes with the standstill at the latest', async () => {
    const made = await pair()
    made.viewer.pause()
    await flood(made.agent)
    made.agent.terminate()
    made.relay.check()
    made.time = 121_000
    made.relay.check()
    await vi.waitFor(() => expect(made.gone).toBe(1), { timeout: 30_000 })
  })

  it('from here closes both at once, also while one is paused', async () => {
    const made = await pair()
    made.viewer.pause()
    await flood(made.agent)
    const seen = closing(made.agent)
    made.relay.close('revoked')
    expect(await seen).toEqual([4403, 'revoked'])
    await vi.waitFor(() => expect(made.gone).toBe(1), { timeout: 30_000 })
    expect(made.ended).toMatchObject([{ code: 4403 }])
  })

  it('is noticed also when a leg had gone before they were joined', async () => {
    const [viewer, nearViewer] = await dial()
    const [agent, nearAgent] = await dial()
    agent.terminate()
    await once(nearAgent, 'close')
    const ended: RelayEnd[] = []
    const seen = closing(viewer)
    new Relay(nearViewer, nearAgent, { now: () => 0, ended: end => void ended.push(end), gone() {} })
    expect((await seen)[0]).toBe(1011)
    expect(ended).toHaveLength(1)
  })
})

describe('half-open peers', () => {
  let proxy: Server
  let swallow: boolean
  beforeEach(async () => {
    swallow = false
    const sockets = new Set<Socket>()
    proxy = createServer(near => {
      const far = connect((server.address() as AddressInfo).port, '127.0.0.1')
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from)
        from.on('data', chunk => void (swallow || to.write(chunk)))
        from.on('error', () => {})
        from.on('close', () => to.destroy())
      }
    })
    proxy.on('close', () => {
      for (const socket of sockets) socket.destroy()
    })
    await new Promise<void>(listening => proxy.listen(0, '127.0.0.1', listening))
  })
  afterEach(() => proxy.close())

  it('are noticed by their silence: a viewer that vanished without a word', async () => {
    const made = await pair((proxy.address() as AddressInfo).port)
    const agentOver = closing(made.agent)
    const pass = async (ms: number) => {
      made.time += ms
      made.agent.ping()
      await Promise.race([once(made.agent, 'pong'), agentOver])
      made.relay.check()
    }
    for (let i = 0; i < 6; i++) {
      await pass(20_000)
      if (!swallow) await new Promise(turn => setTimeout(turn, 30))
    }
    expect(made.ended).toEqual([])
    swallow = true
    for (let i = 0; i < 5; i++) await pass(20_000)
    expect(await agentOver).toEqual([4408, 'silence'])
  })
})
