/** Bytes and messages through a stream: whole, in order, with back-pressure, and told apart from dead ones. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Duplex, duplexPair, Readable } from 'node:stream'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { maxDataMessage } from '#protocol/link-messages.ts'
import { busySize } from '#protocol/node/reads.ts'
import type { Dialled } from '../runtimes/runtime.ts'
import { ApiDouble, listen } from '../testing/api-double.ts'
import { FaultProxy } from '../testing/fault-proxy.ts'
import { eventually, TableWorld } from '../testing/table-world.ts'
import { highWater } from './flow.ts'
import { legTiming } from './leg-watch.ts'

let api: ApiDouble
let world: TableWorld
beforeAll(async () => {
  api = await ApiDouble.start()
})
afterAll(() => api.kill())
beforeEach(() => {
  world = new TableWorld(api)
})
afterEach(() => world.table.endAll({ code: 1001, reason: 'test over' }))

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function opened(dialled: Dialled, kind: 'port' | 'cdp' | 'playwright' = 'port') {
  world.runtime.onDial = async () => dialled
  const stream = world.open({ kind })
  return { stream, socket: await api.dataSocket(stream) }
}

describe('bytes', () => {
  test('five megabytes each way arrive whole, in frames of at most 128 KiB, and are counted', async () => {
    const [near, far] = duplexPair()
    const { stream, socket } = await opened({ kind: 'bytes', socket: near })
    const heard = listen(socket)
    const up = randomBytes(5 * 1024 * 1024)
    const down = randomBytes(5 * 1024 * 1024)
    const got: Buffer[] = []
    far.on('data', (data: Buffer) => got.push(data))
    far.write(down)
    for (let at = 0; at < up.length; at += 100_000) socket.send(up.subarray(at, at + 100_000))
    await heard.until(() => heard.bytes().length === down.length)
    await eventually(() => got.reduce((sum, part) => sum + part.length, 0) === up.length)
    expect(digest(heard.bytes())).toBe(digest(down))
    expect(digest(Buffer.concat(got))).toBe(digest(up))
    expect(Math.max(...heard.messages.map(message => message.length))).toBeLessThanOrEqual(busySize)
    expect(world.active).toBeGreaterThan(0)
    far.end()
    await heard.closed
    expect(await world.outcome(stream)).toMatchObject({ code: 1000, bytes_in: up.length, bytes_out: down.length })
  })

  test('what the target says before the data socket is up is not lost', async () => {
    const [near, far] = duplexPair()
    far.write('banner')
    const { socket } = await opened({ kind: 'bytes', socket: near })
    const heard = listen(socket)
    await heard.until(() => heard.bytes().toString() === 'banner')
  })

  test('all of a target’s last words arrive before the close', async () => {
    const [near, far] = duplexPair()
    const { socket } = await opened({ kind: 'bytes', socket: near })
    const heard = listen(socket)
    far.end(Buffer.alloc(3_000_000, 1))
    expect(await heard.closed).toMatchObject({ code: 1000 })
    expect(heard.bytes().length).toBe(3_000_000)
  })
})

describe('messages', () => {
  let server: WebSocketServer
  beforeEach(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 64 * 1024 * 1024 })
    await once(server, 'listening')
  })
  afterEach(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  async function browser() {
    const port = (server.address() as { port: number }).port
    const there = once(server, 'connection')
    const near = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, maxPayload: 64 * 1024 * 1024 })
    await once(near, 'open')
    const [far] = (await there) as [WebSocket]
    return { near, far }
  }

  test('text stays text, binary binary, and 20 MB in one piece', async () => {
    const { near, far } = await browser()
    const { socket } = await opened({ kind: 'messages', socket: near }, 'cdp')
    const viewer = listen(socket)
    const target = listen(far)
    const big = 'x'.repeat(20 * 1024 * 1024)
    far.send('{"id":1}')
    far.send(Buffer.from([1, 2]))
    far.send(big)
    socket.send('up')
    socket.send(Buffer.from([9]))
    await viewer.until(() => viewer.messages.length === 3)
    await target.until(() => target.messages.length === 2)
    expect(viewer.messages.slice(0, 2)).toEqual(['{"id":1}', Buffer.from([1, 2])])
    expect(viewer.messages[2]).toHaveLength(big.length)
    expect(target.messages).toEqual(['up', Buffer.from([9])])
  })

  test('close codes cross both ways', async () => {
    const first = await browser()
    const one = await opened({ kind: 'messages', socket: first.near }, 'playwright')
    const viewer = listen(one.socket)
    first.far.close(4001, 'browser says no')
    expect(await viewer.closed).toEqual({ code: 4001, reason: 'browser says no' })

    const second = await browser()
    const two = await opened({ kind: 'messages', socket: second.near }, 'playwright')
    const target = listen(second.far)
    listen(two.socket)
    two.socket.close(4002, 'viewer left')
    expect(await target.closed).toEqual({ code: 4002, reason: 'viewer left' })
  })

  test('a browser that dies is a target that ended', async () => {
    const { near, far } = await browser()
    const { socket } = await opened({ kind: 'messages', socket: near }, 'cdp')
    const viewer = listen(socket)
    far.terminate()
    expect(await viewer.closed).toMatchObject({ code: 4410 })
  })

  test('a message too big for the wire ends with 1009, not with silence', async () => {
    const { near, far } = await browser()
    const { stream, socket } = await opened({ kind: 'messages', socket: near }, 'cdp')
    const viewer = listen(socket)
    socket.send(Buffer.alloc(maxDataMessage + 1))
    await viewer.closed
    expect(await world.outcome(stream)).toMatchObject({ code: 1009 })
    await eventually(() => far.readyState === far.CLOSED)
  })

  test('a slow viewer pauses the browser, not the agent’s memory', async () => {
    const { near, far } = await browser()
    const { socket } = await opened({ kind: 'messages', socket: near }, 'cdp')
    const message = Buffer.alloc(64 * 1024, 1)
    for (let count = 0; count < 800; count++) far.send(message)
    // The viewer reads nothing: the browser keeps most of its 50 MB to itself.
    await eventually(() => near.isPaused)
    await quiet(() => far.bufferedAmount)
    expect(far.bufferedAmount).toBeGreaterThan(20 * 1024 * 1024)
    const viewer = listen(socket)
    await viewer.until(() => viewer.messages.length === 800)
    expect(near.isPaused).toBe(false)
  })
})

describe('back-pressure of bytes', () => {
  test('a viewer that reads nothing stops the source; memory stays flat; then all of it comes', async () => {
    const total = 64 * 1024 * 1024
    let made = 0
    const source = new Readable({
      read(size) {
        const part = Math.min(size, total - made)
        made += part
        this.push(part === 0 ? null : Buffer.alloc(part, 7))
      },
    })
    const { socket } = await opened({
      kind: 'bytes',
      socket: Duplex.from({ readable: source, writable: new (await import('node:stream')).PassThrough() }),
    })
    await quiet(() => made)
    // What the kernel's socket buffers took, and no more.
    expect(made).toBeLessThan(24 * 1024 * 1024)
    const heard = listen(socket)
    await heard.closed
    expect(heard.bytes().length).toBe(total)
  })

  test('a target that takes nothing stops the viewer', async () => {
    const swallowed: (() => void)[] = []
    const target = new Duplex({
      read() {},
      write(_data, _encoding, done) {
        swallowed.push(done)
      },
    })
    const { socket } = await opened({ kind: 'bytes', socket: target })
    socket.resume()
    const part = Buffer.alloc(64 * 1024)
    for (let count = 0; count < 800; count++) socket.send(part)
    await quiet(() => socket.bufferedAmount)
    expect(socket.bufferedAmount).toBeGreaterThan(20 * 1024 * 1024)
    expect(target.writableLength).toBeLessThan(highWater + 2 * part.length)
    target._write = (_data, _encoding, done) => done()
    swallowed.shift()!()
    await eventually(() => socket.bufferedAmount === 0)
  })

  test('fifty stalled viewers and one that reads: the one is served, the rest cost little', { timeout: 60_000 }, async () => {
    const endless = () => {
      const source = new Readable({
        read(size) {
          this.push(Buffer.alloc(size))
        },
      })
      return Duplex.from({ readable: source, writable: new WebSocketSink() })
    }
    const stalled: WebSocket[] = []
    for (let count = 0; count < 50; count++) stalled.push((await opened({ kind: 'bytes', socket: endless() })).socket)
    const { socket } = await opened({ kind: 'bytes', socket: endless() })
    let got = 0
    const enough = new Promise<void>(resolve => {
      socket.on('message', (data: Buffer) => {
        got += data.length
        if (got > 100 * 1024 * 1024) resolve()
      })
    })
    const before = process.memoryUsage().arrayBuffers
    socket.resume()
    await enough
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(150 * 1024 * 1024)
    for (const one of [...stalled, socket]) one.terminate()
  })
})

class WebSocketSink extends Duplex {
  override _read(): void {}
  override _write(_data: Buffer, _encoding: string, done: () => void): void {
    done()
  }
}

describe('dead or slow', () => {
  test('nothing gets through for two minutes while something waits: 4508', async () => {
    const source = new Readable({
      read(size) {
        this.push(Buffer.alloc(size))
      },
    })
    const { stream } = await opened({ kind: 'bytes', socket: Duplex.from({ readable: source, writable: new WebSocketSink() }) })
    let made = 0
    source.on('data', () => made++)
    await quiet(() => source.readableLength)
    await world.clock.advance(legTiming.stalledMs)
    expect(world.table.size).toBe(1)
    await world.clock.advance(legTiming.pingMs * 2)
    expect(await world.outcome(stream)).toMatchObject({ code: 4508 })
  })

  test('slow but alive is never judged: a little every minute', async () => {
    const [near, far] = duplexPair()
    const { stream, socket } = await opened({ kind: 'bytes', socket: near })
    const heard = listen(socket)
    for (let minute = 0; minute < 20; minute++) {
      far.write('x')
      await heard.until(() => heard.bytes().length === minute + 1)
      await pinged(socket, () => world.clock.advance(60_000))
    }
    expect(world.table.list()).toEqual([stream])
  })

  test('an idle stream is kept alive by pings', async () => {
    const [near] = duplexPair()
    const { stream, socket } = await opened({ kind: 'bytes', socket: near })
    listen(socket)
    for (let round = 0; round < 30; round++) await pinged(socket, () => world.clock.advance(legTiming.pingMs))
    expect(world.table.list()).toEqual([stream])
  })

  test('a half-open connection is noticed within two minutes', async () => {
    const proxy = await FaultProxy.start(api.origin)
    const [near, far] = duplexPair()
    world.runtime.onDial = async () => ({ kind: 'bytes', socket: near })
    const stream = `str_half_${Math.random()}`.replace('.', '')
    world.open({ stream, url: api.dataUrl(stream).replace(new URL(api.origin).host, new URL(proxy.origin).host) })
    const heard = listen(await api.dataSocket(stream))
    far.write('works')
    await heard.until(() => heard.bytes().toString() === 'works')
    proxy.mode = 'blackhole'
    far.write('into the void')
    for (let second = 0; second < 120 && world.table.size > 0; second += 20) await world.clock.advance(20_000)
    expect(await world.outcome(stream)).toMatchObject({ code: 4408 })
    await proxy.stop()
  })
})

/** Moves the clock and waits until the pings of that time have been answered. */
async function pinged(socket: WebSocket, advance: () => Promise<void>): Promise<void> {
  const ping = once(socket, 'ping')
  await advance()
  await ping
  // One more way round: the pong is at the agent before anything that follows it.
  await new Promise(resolve => setTimeout(resolve, 5))
}

/** Resolves when the number has not changed for a while: everything that could flow has flowed. */
async function quiet(value: () => number): Promise<void> {
  let last = -1
  for (let same = 0; same < 15; ) {
    await new Promise(resolve => setTimeout(resolve, 10))
    same = value() === last ? same + 1 : 0
    last = value()
  }
}
