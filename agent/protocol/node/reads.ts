/**
 * Reads a connection into memory that is read into again. Node gives every read a fresh 64 KiB, which costs a relay more than all else it does:
 * here a quiet connection keeps 4 KiB, a busy one a piece that stays in the processor's cache. Memory whose bytes still wait in a sink is lent
 * until they have gone. A connection that always has more gives way after each turn, so that all get alike.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface Reading {
  /** Bytes came: `memory[start..end)`; what is before may be overwritten. False: stop until `resume`. */
  take(memory: Buffer, start: number, end: number): boolean
  /** What the sink was given so far, and how much of it it still holds, in a unit of its own. */
  given(): number
  held(): number
  /** Most of what a full read brings beside the payload of a full one of the other end: the header of its frame. */
  readonly beside?: number
  /** What is left of a frame that has begun: a read that ends with it begins the next one with a header. */
  left?(): number
}

export interface Reads {
  /** Stands for the connection from now on. */
  readonly socket: Duplex
  pause(): void
  resume(): void
  /** The sink has passed something on. */
  moved(): void
}

/** Room in front of what is read, for a frame's header. */
export const headroom = 16
const quietSize = 4 * 1024
/** With its frame's header just two of the loopback's largest packets (65,483 bytes): a third for the last few bytes would cost nearly as much. */
export const busySize = 128 * 1024 - 256
const turnBytes = 2 * busySize
const calmReads = 16
/** A relay holds as many pieces before it stops reading. */
const spares = 3
/** Less than this is not worth a read of its own. */
const worthARead = 16 * 1024

/** `connection` is open and paused, or was never read; nothing comes before `resume`. */
export function readsOf(connection: Duplex, reading: Reading): Reads {
  return isPlain(connection) ? new ReusedReads(connection, reading) : new FreshReads(connection, reading)
}

/** Any other stream: as it gives them. */
class FreshReads implements Reads {
  readonly socket: Duplex

  constructor(socket: Duplex, reading: Reading) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      if (!reading.take(chunk, 0, chunk.length)) socket.pause()
    })
    socket.pause()
  }

  pause(): void {
    this.socket.pause()
  }
  resume(): void {
    this.socket.resume()
  }
  moved(): void {}
}

class ReusedReads implements Reads {
  readonly socket: Socket
  private readonly reading: Reading
  private memory: Buffer | null = null
  /** The memory that the connection has been given for its next read. */
  private offered: Buffer | null = null
  private readonly lent: { memory: Buffer; until: number }[] = []
  private readonly spare: Buffer[] = []
  private readonly busy: number
  private size = quietSize
  private asked = 0
  private small = 0
  private turn = 0
  private stopped = true
  private rest: NodeJS.Immediate | null = null
  private early: Buffer | null

  constructor(socket: PlainSocket, reading: Reading) {
    this.reading = reading
    this.busy = busySize + (reading.beside ?? 0)
    this.early = socket.readableLength > 0 ? (socket.read() as Buffer | null) : null
    const onread = { buffer: () => this.offer(), callback: (bytes: number) => this.got(bytes) }
    const handle = socket._handle
    socket._handle = null
    socket.destroy()
    this.socket = new Socket({ handle, onread, pauseOnCreate: true } as object)
    this.socket.once('close', () => {
      if (this.rest) clearImmediate(this.rest)
    })
  }

  pause(): void {
    this.stopped = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.stopped) return
    this.stopped = false
    const { early } = this
    this.early = null
    if (early && !this.reading.take(early, 0, early.length)) this.stopped = true
    else if (!this.rest) this.socket.resume()
  }

  moved(): void {
    const gone = this.reading.given() - this.reading.held()
    while (this.lent.length > 0 && this.lent[0]!.until <= gone) {
      const { memory } = this.lent.shift()!
      if (memory.length === headroom + this.size && this.spare.length < spares) this.spare.push(memory)
    }
  }

  /** undefined: the same as before. */
  private offer(): Uint8Array | undefined {
    this.memory ??= this.spare.pop() ?? Buffer.allocUnsafeSlow(headroom + this.size)
    const left = this.reading.left?.() ?? 0
    const asked = left >= worthARead && left < this.size ? left : this.size
    if (this.memory === this.offered && asked === this.asked) return undefined
    this.offered = this.memory
    this.asked = asked
    return this.memory.subarray(headroom, headroom + asked)
  }

  private got(bytes: number): boolean {
    const memory = this.memory!
    const full = bytes === this.asked
    if (!this.reading.take(memory, headroom, headroom + bytes)) this.stopped = true
    if (this.reading.held() > 0) {
      this.lent.push({ memory, until: this.reading.given() })
      this.memory = null
    }
    this.adapt(bytes, full)
    if (this.stopped) return false
    this.turn = full ? this.turn + bytes : 0
    if (this.turn < turnBytes) return true
    this.turn = 0
    this.rest = setImmediate(() => {
      this.rest = null
      if (!this.stopped) this.socket.resume()
    })
    return false
  }

  private adapt(bytes: number, full: boolean): void {
    this.small = bytes <= quietSize / 2 ? this.small + 1 : 0
    const size = full ? this.busy : this.small >= calmReads ? quietSize : this.size
    if (size === this.size) return
    this.size = size
    this.spare.length = 0
    this.memory = null
  }
}

type PlainSocket = Socket & { _handle: object | null }

/** A connection of the kernel's with nothing in between, nothing under way. Only `net.Socket`'s own options can set where it reads to. */
function isPlain(connection: Duplex): connection is PlainSocket {
  const socket = connection as PlainSocket
  return (
    Object.getPrototypeOf(connection) === Socket.prototype &&
    socket._handle !== null &&
    !socket.connecting &&
    !socket.destroyed &&
    !socket.readableEnded &&
    !socket.errored &&
    socket.writableLength === 0 &&
    !socket.writableEnded
  )
}
