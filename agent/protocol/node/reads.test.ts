/** What one connection reads and another writes is whole, whatever waits where; and memory that still waits is left alone. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { busySize, type Reads, readsOf } from './reads.ts'

let server: Server
const sockets: Socket[] = []
beforeEach(async () => {
  server = createServer({ pauseOnConnect: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await new Promise(closed => server.close(closed))
})

async function line(): Promise<[far: Socket, near: Socket]> {
  const there = once(server, 'connection') as Promise<[Socket]>
  const far = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [near] = await there
  sockets.push(far, near)
  return [far, near]
}

/** All that `from` reads goes to `to`, as a relay does it. */
function carry(from: Duplex, to: Duplex, high = 256 * 1024): Reads {
  let given = 0
  const reads: Reads = readsOf(from, {
    take(memory, start, end) {
      given += end - start
      to.write(memory.subarray(start, end), () => {
        reads.moved()
        if (to.writableLength <= high / 4) reads.resume()
      })
      return to.writableLength <= high
    },
    given: () => given,
    held: () => to.writableLength,
  })
  reads.resume()
  return reads
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
async function collect(socket: Duplex, length: number, pause?: (got: number) => Promise<void> | undefined): Promise<string> {
  const hash = createHash('sha256')
  let got = 0
  for await (const chunk of socket) {
    hash.update(chunk as Buffer)
    got += (chunk as Buffer).length
    await pause?.(got)
    if (got >= length) break
  }
  return hash.digest('hex')
}

test('20 MB to a reader that stops now and then, with what was there before', async () => {
  const [source, near] = await line()
  const [sink, out] = await line()
  const sent = randomBytes(20 * 1024 * 1024)
  source.write(sent.subarray(0, 1000))
  near.resume().pause()
  await once(near, 'readable')
  const { socket } = carry(near, out)
  expect(socket).not.toBe(near)
  source.write(sent.subarray(1000))
  let stops = 0
  const stop = (got: number) => {
    if (got >> 20 <= stops) return undefined
    stops++
    return new Promise<void>(done => setTimeout(done, 2))
  }
  expect(await collect(sink, sent.length, stop)).toBe(digest(sent))
  socket.destroy()
})

test('small and large ones in turn', async () => {
  const [source, near] = await line()
  const [sink, out] = await line()
  const parts = Array.from({ length: 600 }, (_, n) => randomBytes(n % 7 === 0 ? 90_000 : 1 + n))
  const { socket } = carry(near, out)
  const whole = collect(
    sink,
    parts.reduce((sum, part) => sum + part.length, 0),
  )
  for (const part of parts) if (!source.write(part)) await once(source, 'drain')
  expect(await whole).toBe(digest(Buffer.concat(parts)))
  socket.destroy()
})

test('memory that a sink still holds is not read into', async () => {
  const [source, near] = await line()
  const held: { bytes: Buffer; copy: Buffer }[] = []
  let given = 0
  const reads = readsOf(near, {
    take(memory, start, end) {
      const bytes = memory.subarray(start, end)
      held.push({ bytes, copy: Buffer.from(bytes) })
      given++
      return given < 40
    },
    given: () => given,
    held: () => given,
  })
  reads.resume()
  source.write(randomBytes(8 * 1024 * 1024))
  await expect.poll(() => given, { timeout: 30_000 }).toBe(40)
  for (const { bytes, copy } of held) expect(bytes.equals(copy)).toBe(true)
  reads.socket.destroy()
})

test('a read ends with the frame that has begun', async () => {
  const [source, near] = await line()
  const frame = 100_000
  const total = 80 * frame
  let got = 0
  let crossed = 0
  const left = () => (got % frame === 0 ? 0 : frame - (got % frame))
  const reads = readsOf(near, {
    take(memory, start, end) {
      if (memory.length > busySize && left() >= 16 * 1024 && end - start > left()) crossed++
      got += end - start
      return true
    },
    given: () => 0,
    held: () => 0,
    beside: 14,
    left,
  })
  reads.resume()
  source.write(randomBytes(total))
  await expect.poll(() => got, { timeout: 60_000 }).toBe(total)
  expect(crossed).toBe(0)
  reads.socket.destroy()
})

test('its end and its close are seen', async () => {
  const [source, near] = await line()
  const got: string[] = []
  const reads = readsOf(near, {
    take(memory, start, end) {
      got.push(memory.toString('latin1', start, end))
      return true
    },
    given: () => 0,
    held: () => 0,
  })
  const ended = once(reads.socket, 'end')
  const closed = once(reads.socket, 'close')
  reads.resume()
  source.end('last words')
  await ended
  reads.socket.end()
  await closed
  expect(got.join('')).toBe('last words')
})

test('one that always has more lets others have their turn', async () => {
  const [source, near] = await line()
  let turns = 0
  let got = 0
  const reads = readsOf(near, {
    take(_, start, end) {
      got += end - start
      if (got > 64 * 1024 * 1024) reads.socket.destroy()
      return true
    },
    given: () => 0,
    held: () => 0,
  })
  const count = () => {
    turns++
    if (!reads.socket.destroyed) setImmediate(count)
  }
  const closed = once(reads.socket, 'close')
  reads.resume()
  setImmediate(count)
  const chunk = Buffer.alloc(1024 * 1024)
  const more = () => {
    while (!source.destroyed && source.write(chunk)) {}
    source.once('drain', more)
  }
  source.on('error', () => {})
  more()
  await closed
  expect(turns).toBeGreaterThan(64)
})

test('other streams pass as they are', async () => {
  const [near, far] = duplexPair()
  const [out, sink] = duplexPair()
  expect(carry(near, out).socket).toBe(near)
  const sent = randomBytes(300_000)
  far.write(sent)
  expect(await collect(sink, sent.length)).toBe(digest(sent))
})
