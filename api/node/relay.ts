/**
 * Joins a viewer's socket and an agent's: messages pass with their type, one leg's end closes the other. The whole back-pressure rule: stop
 * reading a leg while the other holds more than `high`, go on at `low`. A leg that stands still while something waits ends the pair.
 */
import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import { type CloseWord, closeCodes, passableClose } from '#protocol/close-codes.ts'

const high = 256 * 1024
const low = 64 * 1024
const stalledMs = 120_000
/** What is left for a leg whose peer has gone is worth less patience. */
const drainMs = 10_000
const pingMs = 20_000
/** Silence of a leg that we read and ping: three pings unanswered, and a bit. */
const silentMs = 75_000

class Leg {
  readonly ws: WebSocket
  heardAt: number
  pingedAt: number
  movedAt: number
  bytes = 0
  private flushed = 0
  private mark = ''
  private goodbye: { code: number; reason: string } | null = null

  constructor(ws: WebSocket, now: number) {
    this.ws = ws
    this.heardAt = this.pingedAt = this.movedAt = now
  }

  send(data: RawData, binary: boolean, sent: () => void): void {
    this.ws.send(data, { binary, compress: false }, () => {
      this.flushed++
      if (this.goodbye && this.ws.bufferedAmount === 0) this.close(this.goodbye.code, this.goodbye.reason)
      sent()
    })
  }

  get backlog(): number {
    return this.ws.bufferedAmount
  }

  /** Milliseconds since what waits here last moved; 0 when nothing waits. */
  stillFor(now: number): number {
    // A single large message moves below the stream's own count, in the kernel's queue.
    const queued = (this.ws as unknown as { _socket?: Socket & { _handle?: { writeQueueSize?: number } } })._socket?._handle
      ?.writeQueueSize
    const mark = `${this.backlog}:${this.flushed}:${queued}`
    if (this.backlog === 0 || mark !== this.mark) this.movedAt = now
    this.mark = mark
    return now - this.movedAt
  }

  get leaving(): boolean {
    return this.goodbye !== null
  }

  /** Closes once what waits has been taken. */
  closeAfterDrain(code: number, reason: string): void {
    if (this.backlog === 0) this.close(code, reason)
    else {
      this.goodbye = { code, reason }
      this.ws.resume()
    }
  }

  /** Closes now; `ws` cuts the line a second later. */
  close(code: number, reason: string): void {
    this.goodbye = null
    this.ws.resume()
    this.ws.close(code, reason)
  }
}

export interface RelayEnd {
  code: number
  reason: string
  /** Viewer to session, and back. */
  bytesIn: number
  bytesOut: number
}

export class Relay {
  private readonly viewer: Leg
  private readonly agent: Leg
  private readonly now: () => number
  private readonly onEnd: (end: RelayEnd) => void
  private readonly onGone: () => void
  private legsOpen = 2
  private ended = false

  /** `ended`: the pair is over; `gone`: both sockets are closed. Both sockets must be open, the agent's paused. */
  constructor(
    viewer: WebSocket,
    agent: WebSocket,
    events: { now: () => number; ended: (end: RelayEnd) => void; gone: () => void },
  ) {
    this.now = events.now
    this.onEnd = events.ended
    this.onGone = events.gone
    this.viewer = new Leg(viewer, this.now())
    this.agent = new Leg(agent, this.now())
    this.join(this.viewer, this.agent)
    this.join(this.agent, this.viewer)
    agent.resume()
  }

  private join(from: Leg, to: Leg): void {
    const heard = () => {
      from.heardAt = this.now()
    }
    const resume = () => {
      if (!from.ws.isPaused || to.backlog > low) return
      heard()
      from.ws.resume()
    }
    from.ws.on('message', (data, binary) => {
      heard()
      from.bytes += (data as Buffer).length
      if (this.ended) return
      to.send(data, binary, resume)
      if (to.backlog > high) from.ws.pause()
    })
    from.ws.on('ping', heard)
    from.ws.on('pong', heard)
    from.ws.on('error', () => {})
    const closed = (code: number, reason: string) => {
      const passed = passableClose(code, reason)
      this.end(passed)
      if (to.ws.readyState <= 1 && !to.leaving) to.closeAfterDrain(passed.code, passed.reason)
      if (--this.legsOpen === 0) this.onGone()
    }
    // It may have gone while the other one was still coming.
    if (from.ws.readyState === 3) queueMicrotask(() => closed(1006, 'connection lost'))
    else from.ws.on('close', (code, reason) => closed(code, reason.toString()))
  }

  /** Ends the pair from here. */
  close(word: CloseWord, reason: string = word): void {
    const passed = passableClose(closeCodes[word], reason)
    this.end(passed)
    for (const leg of [this.viewer, this.agent]) leg.close(passed.code, passed.reason)
  }

  /** Stall, silence and pings; call it every few seconds. */
  check(): void {
    const now = this.now()
    for (const leg of [this.viewer, this.agent]) {
      if (leg.ws.readyState === 3) continue
      const still = leg.stillFor(now)
      if (leg.leaving && still >= drainMs) leg.ws.terminate()
      else if (still >= stalledMs) this.close('stalled')
      else if (this.silent(leg, now)) this.close('timeout', 'silence')
    }
    // The agent pings its own leg.
    if (now - this.viewer.pingedAt >= pingMs && this.viewer.ws.readyState === 1 && this.viewer.backlog === 0) {
      this.viewer.pingedAt = now
      this.viewer.ws.ping()
    }
  }

  /** A leg that we do not read, or could not ping, is not judged. */
  private silent(leg: Leg, now: number): boolean {
    if (leg.ws.isPaused || leg.leaving || now - leg.heardAt < silentMs) return false
    return leg === this.agent || now - leg.pingedAt < pingMs * 2
  }

  private end(passed: { code: number; reason: string }): void {
    if (this.ended) return
    this.ended = true
    this.onEnd({ ...passed, bytesIn: this.viewer.bytes, bytesOut: this.agent.bytes })
  }
}
