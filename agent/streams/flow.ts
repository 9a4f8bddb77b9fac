/**
 * Back-pressure of one direction: the source is paused while the sink holds more than `highWater` and resumed at `lowWater`. The gauge
 * lets the watch tell a slow sink from a dead one: only a sink that holds bytes and passes none on for long is stalled.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { busySize, readsOf } from '#protocol/node/reads.ts'
import { sendBytes } from './byte-frame.ts'

export const highWater = 256 * 1024
export const lowWater = 64 * 1024
export const frameSize = 64 * 1024

export interface Gauge {
  /** Rises with everything the sink has passed on. */
  delivered: number
  /** Bytes the sink still holds, or anything above 0 while something waits. */
  pending: () => number
  /** Bytes the kernel has yet to take, where that can be seen: one huge message is delivered long before `delivered` rises. */
  queued?: () => number
}

/** What a WebSocket's connection still holds below the count of `ws`. */
function queuedBelow(ws: WebSocket): () => number {
  return () => (ws as unknown as { _socket?: { _handle?: { writeQueueSize?: number } } })._socket?._handle?.writeQueueSize ?? 0
}

/** Everything `source` says goes to `sink`, text and binary kept. */
export function pumpMessages(source: WebSocket, sink: WebSocket, seen: (bytes: number) => void): Gauge {
  const gauge: Gauge = { delivered: 0, pending: () => sink.bufferedAmount, queued: queuedBelow(sink) }
  source.on('message', (data: Buffer, binary: boolean) => {
    seen(data.length)
    if (sink.readyState !== sink.OPEN) return
    sink.send(data, { binary, compress: false }, () => {
      gauge.delivered++
      if (source.isPaused && sink.bufferedAmount <= lowWater) source.resume()
    })
    if (sink.bufferedAmount > highWater) source.pause()
  })
  return gauge
}

/** Messages of a WebSocket become bytes of a socket; `through` may change, hold back or refuse them. */
export function pumpToBytes(source: WebSocket, sink: Duplex, through: (data: Buffer) => Buffer | null): Gauge {
  const gauge: Gauge = { delivered: 0, pending: () => sink.writableLength }
  source.on('message', (data: Buffer) => {
    const bytes = through(data)
    if (bytes === null || bytes.length === 0 || !sink.writable) return
    sink.write(bytes, () => {
      gauge.delivered++
      if (source.isPaused && sink.writableLength <= lowWater) source.resume()
    })
    if (sink.writableLength > highWater) source.pause()
  })
  return gauge
}

/**
 * Bytes of a connection become binary messages, one for each read; what is not read stays in the kernel, and TCP tells the other end. `through`
 * may keep nothing of what it is given. Answers the connection as it is from now on.
 */
export function pumpFromBytes(
  source: Duplex,
  sink: WebSocket,
  through: (data: Buffer) => Buffer | null,
): { gauge: Gauge; source: Duplex; resume: () => void } {
  let given = 0
  let full = false
  const gauge: Gauge = { delivered: 0, pending: () => sink.bufferedAmount, queued: queuedBelow(sink) }
  const sent = () => {
    gauge.delivered++
    reads.moved()
    if (!full || sink.bufferedAmount > lowWater) return
    full = false
    reads.resume()
  }
  const reads = readsOf(source, {
    take(memory, start, end) {
      const bytes = through(memory.subarray(start, end))
      if (sink.readyState !== sink.OPEN) return false
      if (bytes === null) return true
      const inPlace = bytes.buffer === memory.buffer && bytes.byteOffset === memory.byteOffset + start
      for (let at = 0; at < bytes.length; at += busySize) {
        given++
        const piece = { start: at, end: Math.min(bytes.length, at + busySize) }
        if (inPlace && at === 0) sendBytes(sink, memory, { floor: 0, start, end: start + piece.end }, sent)
        else sendBytes(sink, bytes, { floor: at, ...piece }, sent)
      }
      full = sink.bufferedAmount > highWater
      return !full
    },
    given: () => given,
    held: () => (sink.bufferedAmount === 0 ? 0 : given - gauge.delivered),
  })
  return { gauge, source: reads.socket, resume: () => reads.resume() }
}
