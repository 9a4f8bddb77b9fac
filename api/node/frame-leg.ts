/**
 * One WebSocket of a relay, below the level of messages: pieces of frames pass as they come, out of the memory they were read into, with a
 * header written in front of them. A message larger than a read goes on in several frames: so a ping or the goodbye never has to wait for its end.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { type Reads, readsOf } from '#protocol/node/reads.ts'
import { type FramePiece, FrameReader, longestHeader } from './frame-reader.ts'

/** How long a peer may take to answer our goodbye, or to hang up after its own. */
const closeMs = 1_000
const pingHeader = 0x89
const pongHeader = 0x8a
const closeHeader = 0x88

export interface LegEvents {
  piece(piece: FramePiece): void
  /** All that came with one read has been told of. False: read no more until `resume`. */
  more(): boolean
  /** Any sign of life. */
  heard(): void
  /** Something that was sent has gone. */
  sent(): void
  /** Its connection is closed; 1006: without a goodbye. */
  closed(code: number, reason: string): void
}

export class FrameLeg {
  /** Payload that came. */
  bytes = 0
  /** How often something that was sent has gone. */
  passed = 0
  paused = true
  private state: 'open' | 'closing' | 'closed' = 'open'
  private readonly socket: Duplex
  private readonly reads: Reads
  private readonly events: LegEvents
  private given = 0
  private said: { code: number; reason: string } | null = null
  private waiting: { code: number; reason: string } | null = null
  private deadline: NodeJS.Timeout | undefined

  /** `connection` is open and paused, or was never read. `sink`: where its pieces go. */
  constructor(connection: Duplex, maxMessage: number, events: LegEvents, sink: () => FrameLeg) {
    this.events = events
    const reader = new FrameReader(maxMessage, {
      piece: piece => {
        this.bytes += piece.end - piece.start
        if (this.state === 'open') events.piece(piece)
      },
      ping: payload => {
        if (this.state === 'open') this.control(pongHeader, payload)
      },
      close: (code, reason) => this.farewell(code, reason),
      broken: (code, reason) => this.close(code, reason),
    })
    this.reads = readsOf(connection, {
      take: (memory, start, end) => {
        events.heard()
        const to = sink()
        to.socket.cork()
        reader.feed(memory, start, end)
        to.socket.uncork()
        return events.more() && !this.paused
      },
      given: () => sink().given,
      held: () => sink().backlog,
      beside: longestHeader,
      left: () => reader.rest,
    })
    this.socket = this.reads.socket
    this.socket.on('error', () => {})
    this.socket.once('end', () => this.socket.end())
    this.socket.once('close', () => this.gone())
    if (this.socket.destroyed) queueMicrotask(() => this.gone())
  }

  get open(): boolean {
    return this.state === 'open'
  }

  get closed(): boolean {
    return this.state === 'closed'
  }

  /** Its goodbye waits for what was sent before. */
  get leaving(): boolean {
    return this.waiting !== null
  }

  /** Bytes that were sent and have not gone. */
  get backlog(): number {
    return this.socket.writableLength
  }

  /** Changes whenever something goes, also within one large piece: that moves in the kernel's queue only. */
  get progress(): string {
    const { _handle } = this.socket as { _handle?: { writeQueueSize?: number } }
    return `${this.backlog}:${this.passed}:${_handle?.writeQueueSize}`
  }

  pause(): void {
    this.paused = true
    this.reads.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.reads.resume()
  }

  /** The source of its pieces asks what has gone; see Reads. */
  moved(): void {
    this.reads.moved()
  }

  forward({ opcode, fin, memory, floor, start, end }: FramePiece): void {
    if (this.state !== 'open' || this.waiting) return
    const length = end - start
    const size = length < 126 ? 2 : length < 65_536 ? 4 : 10
    const fits = start - floor >= size
    const header = fits ? memory : Buffer.allocUnsafe(size)
    const at = fits ? start - size : 0
    header[at] = opcode | (fin ? 0x80 : 0)
    header[at + 1] = size === 2 ? length : size === 4 ? 126 : 127
    if (size === 4) header.writeUInt16BE(length, at + 2)
    else if (size === 10) {
      header.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2)
      header.writeUInt32BE(length >>> 0, at + 6)
    }
    if (fits) this.write(memory.subarray(at, end))
    else {
      this.write(header)
      if (length > 0) this.write(memory.subarray(start, end))
    }
  }

  ping(): void {
    if (this.state === 'open') this.control(pingHeader, Buffer.alloc(0))
  }

  /** Closes once what waits has been taken. */
  closeAfterDrain(code: number, reason: string): void {
    if (this.state !== 'open') return
    if (this.backlog === 0) this.close(code, reason)
    else {
      this.waiting = { code, reason }
      this.resume()
    }
  }

  /** Says goodbye now, and hangs up when it was answered, or was not for a second. */
  close(code: number, reason: string): void {
    if (this.state !== 'open') return
    this.state = 'closing'
    this.waiting = null
    const body = Buffer.alloc(2 + Buffer.byteLength(reason))
    body.writeUInt16BE(code, 0)
    body.write(reason, 2)
    this.control(closeHeader, code === 1005 ? Buffer.alloc(0) : body)
    this.hangUpLater()
    this.resume()
  }

  terminate(): void {
    this.socket.destroy()
  }

  /** The peer said goodbye: it is answered in kind, and nothing more is expected. */
  private farewell(code: number, reason: string): void {
    this.said = { code, reason }
    if (this.state === 'open') {
      this.state = 'closing'
      this.waiting = null
      this.control(closeHeader, code === 1005 ? Buffer.alloc(0) : codeOnly(code))
      this.hangUpLater()
    }
    this.socket.end()
  }

  private hangUpLater(): void {
    this.deadline ??= setTimeout(() => this.socket.destroy(), closeMs)
  }

  private gone(): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.waiting = null
    clearTimeout(this.deadline)
    this.events.closed(this.said?.code ?? 1006, this.said?.reason ?? '')
  }

  private control(header: number, payload: Buffer): void {
    this.write(Buffer.concat([Buffer.from([header, payload.length]), payload]))
  }

  private write(bytes: Buffer): void {
    if (!this.socket.writable) return
    this.given += bytes.length
    this.socket.write(bytes, this.sent)
  }

  private readonly sent = (error?: Error | null): void => {
    if (error) return
    this.passed++
    if (this.waiting && this.backlog === 0) this.close(this.waiting.code, this.waiting.reason)
    this.events.sent()
  }
}

function codeOnly(code: number): Buffer {
  const body = Buffer.alloc(2)
  body.writeUInt16BE(code, 0)
  return body
}

/**
 * The connection below a WebSocket of `ws` that was paused since its handshake, or has only just been opened: `ws` has read nothing of it, and
 * lets go of it here.
 */
export function connectionOf(ws: WebSocket): Duplex {
  const socket = (ws as unknown as { _socket: Duplex })._socket
  socket.pause()
  for (const event of ['data', 'end'] as const)
    for (const listener of socket.listeners(event))
      if (listener.name.startsWith('socketOn')) socket.off(event, listener as () => void)
  if (socket.listenerCount('data') > 0) throw new Error('somebody reads this connection')
  socket.on('error', () => {})
  if (ws.readyState !== ws.OPEN) socket.destroy()
  return socket
}
