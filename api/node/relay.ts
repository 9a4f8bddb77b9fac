/**
 * Joins a viewer's socket and an agent's: messages pass with their type, one leg's end closes the other. The whole back-pressure rule: stop
 * reading a leg while the other holds more than `high`, go on at `low`. A leg that stands still while something waits ends the pair.
 */
import type { WebSocket } from 'ws'
import { type CloseWord, closeCodes, passableClose } from '#protocol/close-codes.ts'
import { maxDataMessage } from '#protocol/link-messages.ts'
import { connectionOf, FrameLeg } from './frame-leg.ts'
import type { FramePiece } from './frame-reader.ts'

const high = 256 * 1024
const low = 64 * 1024
/**
 * A viewer puts together what crosses the borders of its own reads (64 KiB in Node): of messages much smaller than those little has to be copied. In one
 * write all the same.
 */
const messageSize = 16 * 1024
const stalledMs = 120_000
/** What is left for a leg whose peer has gone is worth less patience. */
const drainMs = 10_000
const pingMs = 20_000
/** Silence of a leg that we read and ping: three pings unanswered, and a bit. */
const silentMs = 75_000

/** What the clock says of a leg. */
class Times {
  heardAt: number
  pingedAt: number
  private movedAt: number
  private mark = ''

  constructor(now: number) {
    this.heardAt = this.pingedAt = this.movedAt = now
  }

  /** Milliseconds since what waits in the leg last moved; 0 when nothing waits. */
  stillFor({ backlog, progress }: FrameLeg, now: number): number {
    if (backlog === 0 || progress !== this.mark) this.movedAt = now
    this.mark = progress
    return now - this.movedAt
  }
}

interface Leg {
  line: FrameLeg
  times: Times
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
  private readonly recut: boolean
  private legsOpen = 2
  private ended = false

  /**
   * `ended`: the pair is over; `gone`: both connections are closed. The agent's socket was paused since its handshake, the viewer's is new.
   * `bytes`: its messages are pieces of a stream of bytes, which may be cut anew.
   */
  constructor(
    viewer: WebSocket,
    agent: WebSocket,
    events: { now: () => number; ended: (end: RelayEnd) => void; gone: () => void },
    bytes = false,
  ) {
    this.recut = bytes
    this.now = events.now
    this.onEnd = events.ended
    this.onGone = events.gone
    this.viewer = this.leg(viewer, () => this.agent, Number.POSITIVE_INFINITY)
    this.agent = this.leg(agent, () => this.viewer, messageSize)
    for (const { line } of this.legs) line.resume()
  }

  /** Bytes that wait here for the slower side. */
  get held(): number {
    return this.viewer.line.backlog + this.agent.line.backlog
  }

  private get legs(): [Leg, Leg] {
    return [this.viewer, this.agent]
  }

  private leg(ws: WebSocket, other: () => Leg, largest: number): Leg {
    const times = new Times(this.now())
    const line: FrameLeg = new FrameLeg(
      connectionOf(ws),
      maxDataMessage,
      {
        piece: piece => {
          if (this.ended) return
          // In text a cut could go through a character.
          if (this.recut && piece.type === 2) passInMessages(piece, other().line, largest)
          else other().line.forward(piece)
        },
        more: () => {
          if (other().line.backlog <= high) return true
          line.pause()
          return false
        },
        heard: () => {
          times.heardAt = this.now()
        },
        sent: () => {
          const source = other()
          source.line.moved()
          if (!source.line.paused || line.backlog > low) return
          source.times.heardAt = this.now()
          source.line.resume()
        },
        closed: (code, reason) => {
          const passed = passableClose(code, reason)
          this.end(passed)
          const { line } = other()
          if (!line.leaving) line.closeAfterDrain(passed.code, passed.reason)
          if (--this.legsOpen === 0) this.onGone()
        },
      },
      () => other().line,
    )
    return { line, times }
  }

  /** Ends the pair from here. */
  close(word: CloseWord, reason: string = word): void {
    const passed = passableClose(closeCodes[word], reason)
    this.end(passed)
    for (const { line } of this.legs) line.close(passed.code, passed.reason)
  }

  /** Stall, silence and pings; call it every few seconds. */
  check(): void {
    const now = this.now()
    for (const { line, times } of this.legs) {
      if (line.closed) continue
      const still = times.stillFor(line, now)
      if (line.leaving && still >= drainMs) line.terminate()
      else if (still >= stalledMs) this.close('stalled')
      else if (this.silent(line, times, now)) this.close('timeout', 'silence')
    }
    // The agent pings its own leg.
    const { line, times } = this.viewer
    if (now - times.pingedAt >= pingMs && line.open && line.backlog === 0) {
      times.pingedAt = now
      line.ping()
    }
  }

  /** A leg that we do not read, or could not ping, is not judged. */
  private silent(line: FrameLeg, times: Times, now: number): boolean {
    if (line.paused || line.leaving || now - times.heardAt < silentMs) return false
    return line === this.agent.line || now - times.pingedAt < pingMs * 2
  }

  private end(passed: { code: number; reason: string }): void {
    if (this.ended) return
    this.ended = true
    this.onEnd({ ...passed, bytesIn: this.viewer.line.bytes, bytesOut: this.agent.line.bytes })
  }
}

/** Each part is a message of its own. */
function passInMessages(piece: FramePiece, to: FrameLeg, largest: number): void {
  const { end } = piece
  piece.opcode = piece.type
  piece.fin = true
  for (; end - piece.start > largest; piece.floor = piece.start = piece.end) {
    piece.end = piece.start + largest
    to.forward(piece)
  }
  piece.end = end
  to.forward(piece)
}
