/**
 * The two raw relays. Each returns once one leg is over, with what the stream ended with; the caller closes the data socket, the relay its
 * target. No byte is looked at unless a filter is given (rfb/).
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { WireError } from '#protocol/close-codes.ts'
import { type Gauge, pumpFromBytes, pumpMessages, pumpToBytes } from './flow.ts'
import { closeLeg, ended, endOfClose, type StreamEnd } from './stream-end.ts'

export interface RelayContext {
  /** The agent's leg towards the API, open. */
  ws: WebSocket
  /** Aborted with a StreamEnd as its reason. */
  signal: AbortSignal
  /** `in`: viewer -> session. */
  bytes: { in: number; out: number }
  /** The viewer did something. */
  active: () => void
  /** Gauges to be watched for stalls. */
  watch: (...gauges: Gauge[]) => void
}

/** Looks at bytes on their way; null: nothing to pass on now. A WireError ends the stream. */
export interface ByteFilter {
  toTarget(data: Buffer): Buffer | null
  toViewer(data: Buffer): Buffer | null
}

const lastWordsMs = 1000

/** `attached` is told what stands for the target from then on. */
export function relayBytes(
  context: RelayContext,
  target: Duplex,
  end: StreamEnd,
  filter?: ByteFilter,
  attached: (target: Duplex) => void = () => {},
): Promise<StreamEnd> {
  const { ws, signal, bytes, active, watch } = context
  return new Promise(resolve => {
    let over = false
    let source = target
    const finish = (how: StreamEnd) => {
      if (over) return
      over = true
      signal.removeEventListener('abort', aborted)
      endTarget(source)
      resolve(how)
    }
    const aborted = () => finish(signal.reason as StreamEnd)
    const failed = (error: Error) => finish(ended('target_ended', `target: ${error.message}`))
    const guarded = (look: ((data: Buffer) => Buffer | null) | undefined) => (data: Buffer) => {
      if (over) return null
      if (!look) return data
      try {
        return look(data)
      } catch (error) {
        finish(error instanceof WireError ? { code: error.code, reason: error.message } : ended('internal'))
        return null
      }
    }
    const toTarget = guarded(filter && (data => filter.toTarget(data)))
    const toViewer = guarded(filter && (data => filter.toViewer(data)))

    if (signal.aborted) return aborted()
    if (target.errored) return failed(target.errored)
    if (target.destroyed) return finish(end)
    const down = pumpFromBytes(target, ws, data => {
      const passed = toViewer(data)
      bytes.out += passed?.length ?? 0
      return passed
    })
    source = down.source
    attached(source)
    signal.addEventListener('abort', aborted, { once: true })
    source.on('error', failed)
    source.once('end', () => finish(end))
    source.once('close', () => finish(end))
    ws.once('close', (code, reason) => finish(endOfClose(code, reason)))
    ws.on('error', error => finish(endOfError(error)))
    const up = pumpToBytes(ws, source, data => {
      bytes.in += data.length
      if (!filter) active()
      return toTarget(data)
    })
    watch(up, down.gauge)
    down.resume()
    if (ws.isPaused) ws.resume()
  })
}

export function relayMessages(context: RelayContext, target: WebSocket): Promise<StreamEnd> {
  const { ws, signal, bytes, active, watch } = context
  return new Promise(resolve => {
    let over = false
    const finish = (how: StreamEnd) => {
      if (over) return
      over = true
      signal.removeEventListener('abort', aborted)
      closeLeg(target, how)
      resolve(how)
    }
    const aborted = () => finish(signal.reason as StreamEnd)
    signal.addEventListener('abort', aborted, { once: true })
    target.on('error', error => finish(endOfError(error, 'target: ')))
    target.once('close', (code, reason) =>
      finish(code === 1006 ? ended('target_ended', 'the session closed the connection') : endOfClose(code, reason)),
    )
    ws.once('close', (code, reason) => finish(endOfClose(code, reason)))
    ws.on('error', error => finish(endOfError(error)))
    if (signal.aborted) return aborted()
    if (target.readyState !== target.OPEN) return finish(ended('target_ended', 'the session closed the connection'))
    watch(
      pumpMessages(ws, target, size => {
        bytes.in += size
        active()
      }),
      pumpMessages(target, ws, size => {
        bytes.out += size
      }),
    )
    for (const leg of [ws, target]) if (leg.isPaused) leg.resume()
  })
}

/** What it says to our goodbye is not read, but it gets a moment to take what was sent. */
function endTarget(target: Duplex): void {
  target.end()
  const timer = setTimeout(() => target.destroy(), lastWordsMs)
  target.once('close', () => clearTimeout(timer))
  if (target.destroyed) clearTimeout(timer)
}

export function endOfError(error: Error, prefix = ''): StreamEnd {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return ended('too_big', `${prefix}message too big`)
  if (code?.startsWith('WS_ERR_')) return ended('protocol', `${prefix}${error.message}`)
  return ended(prefix ? 'target_ended' : 'internal', `${prefix}${error.message}`)
}
