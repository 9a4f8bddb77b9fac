/** A connection dialled ahead: used once, for its own address only, let go of in time, and no stream is lost to a dead one. */
import { once } from 'node:events'
import { createServer as createHttp } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { FakeClock } from '../testing/fake-clock.ts'
import { dialData, streamSubprotocol } from './data-socket.ts'
import { SpareConnection } from './spare-connection.ts'

let server: Server
let url: string
let clock: FakeClock
let spare: SpareConnection
const came: Socket[] = []
beforeEach(async () => {
  clock = new FakeClock()
  spare = new SpareConnection(clock)
  server = createServer(socket => {
    came.push(socket)
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/agent/streams/a`
})
afterEach(async () => {
  spare.drop()
  for (const socket of came.splice(0)) socket.destroy()
  await new Promise(closed => server.close(closed))
})

const arrived = (count: number) => expect.poll(() => came.length, { timeout: 30_000 }).toBe(count)

test('is dialled once however often it is expected, and taken once', async () => {
  spare.expect(url)
  spare.expect(url)
  await arrived(1)
  expect(spare.take('ws://127.0.0.1:1/')).toBe(null)
  const taken = spare.take(url)
  expect(taken).not.toBe(null)
  expect(spare.take(url)).toBe(null)
  taken!.destroy()
})

test('is let go of when nobody needed it', async () => {
  spare.expect(url)
  await arrived(1)
  const closed = once(came[0]!.resume(), 'close')
  await clock.advance(25_000)
  await closed
  expect(spare.take(url)).toBe(null)
})

test('one that was closed meanwhile is not given out', async () => {
  spare.expect(url)
  await arrived(1)
  const closed = once(came[0]!.resume(), 'close')
  came[0]!.end()
  await closed
  expect(spare.take(url)).toBe(null)
})

test('carries a stream; one that fails it costs the stream nothing', async () => {
  const streams = new WebSocketServer({ noServer: true, handleProtocols: () => streamSubprotocol })
  const http = createHttp()
  let cut = true
  let connections = 0
  http.on('connection', () => connections++)
  http.on('upgrade', (request, socket, head) => {
    if (cut) return socket.destroy()
    streams.handleUpgrade(request, socket, head, ws => ws.send('hello'))
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const at = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/x`
  const dial = () => dialData({ url: at, key: 'k', signal: new AbortController().signal, handshakeMs: 30_000, spare })
  try {
    // Without a spare one a cut is the end.
    await expect(dial()).rejects.toThrow()
    spare.expect(at)
    await expect.poll(() => connections, { timeout: 30_000 }).toBe(2)
    http.once('upgrade', () => {
      cut = false
    })
    const second = await dial()
    expect(connections).toBe(3)
    spare.expect(at)
    await expect.poll(() => connections, { timeout: 30_000 }).toBe(4)
    const third = await dial()
    expect(connections).toBe(4)
    const message = once(third, 'message')
    third.resume()
    expect(String((await message)[0])).toBe('hello')
    second.terminate()
    third.terminate()
  } finally {
    http.closeAllConnections()
    for (const ws of streams.clients) ws.terminate()
    await new Promise(closed => http.close(closed))
  }
})
