/**
 * RFC 6455 frames of a client, cut out of bytes as they come: nothing is collected but control frames and what a frame's header lacks. Data
 * comes in pieces with what a frame of its own for each would say, so that what is passed on can always be interrupted.
 */
import { plainUnmask, unmask } from './unmask.ts'

export interface FramePiece {
  /** 0: goes on; 1: text, 2: binary. */
  opcode: number
  /** Of its message: 1 or 2. */
  type: number
  /** The last of its message. */
  fin: boolean
  memory: Buffer
  /** From here on, up to `start`, the memory may be overwritten. */
  floor: number
  start: number
  end: number
}

export interface FrameEvents {
  piece(piece: FramePiece): void
  ping(payload: Buffer): void
  close(code: number, reason: string): void
  /** A rule was broken: nothing more is told. */
  broken(code: number, reason: string): void
}

const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const
export const longestHeader = 14
const longestControl = 125
/** Less of a frame that goes on is kept until more has come: a receiver takes only so many parts of a message (`ws`: 16,384). */
const leastPart = 16 * 1024
/** Shorter than this, a call into native code costs more than it saves. */
const worthACall = 32

const nothing = Buffer.alloc(0)

export class FrameReader {
  private readonly events: FrameEvents
  private readonly maxMessage: number
  private readonly head = Buffer.alloc(longestHeader)
  private headLength = 0
  private readonly mask = Buffer.alloc(4)
  private masked = false
  private inFrame = false
  private opcode = 0
  private type = 0
  private fin = false
  private left = 0
  private firstPiece = false
  private kept: Buffer = nothing
  /** Within a message of several frames. */
  private inMessage = false
  private messageLength = 0
  private control: Buffer | null = null
  private controlLength = 0
  private over = false
  private readonly told: FramePiece = { opcode: 0, type: 0, fin: false, memory: this.head, floor: 0, start: 0, end: 0 }

  constructor(maxMessage: number, events: FrameEvents) {
    this.maxMessage = maxMessage
    this.events = events
  }

  /** What is left of the data of a frame that has begun. */
  get rest(): number {
    return this.inFrame && !this.control ? this.left : 0
  }

  /** `memory[start..end)` is new; what is before it may be overwritten, and so may what has been told of when this returns. */
  feed(memory: Buffer, start: number, end: number): void {
    let at = start
    let floor = 0
    while (!this.over && (at < end || (this.inFrame && this.left === 0))) {
      if (!this.inFrame) {
        at = this.readHeader(memory, at, end)
        continue
      }
      const until = Math.min(end, at + this.left)
      this.left -= until - at
      if (this.masked && until > at) this.unmask(memory.subarray(at, until))
      if (this.control) this.controlBytes(memory, at, until)
      else floor = this.dataBytes(memory, floor, at, until)
      at = until
    }
  }

  private dataBytes(memory: Buffer, floor: number, start: number, end: number): number {
    if (this.left > 0 && this.kept.length + end - start < leastPart) {
      this.kept = Buffer.concat([this.kept, memory.subarray(start, end)])
    } else if (this.kept.length > 0) {
      const whole = Buffer.concat([this.kept, memory.subarray(start, end)])
      this.kept = nothing
      this.tell(whole, 0, 0, whole.length)
    } else this.tell(memory, floor, start, end)
    return end
  }

  private tell(memory: Buffer, floor: number, start: number, end: number): void {
    const piece = this.told
    piece.opcode = this.firstPiece ? this.opcode : opcodes.continuation
    piece.type = this.type
    piece.fin = this.fin && this.left === 0
    piece.memory = memory
    piece.floor = floor
    piece.start = start
    piece.end = end
    this.firstPiece = false
    if (this.left === 0) this.inFrame = false
    this.events.piece(piece)
  }

  private controlBytes(memory: Buffer, start: number, end: number): void {
    const control = this.control!
    memory.copy(control, this.controlLength, start, end)
    this.controlLength += end - start
    if (this.left > 0) return
    this.inFrame = false
    this.control = null
    if (this.opcode === opcodes.ping) this.events.ping(control)
    else if (this.opcode === opcodes.close) this.closeFrame(control)
  }

  private closeFrame(control: Buffer): void {
    const code = control.length === 0 ? 1005 : control.length === 1 ? 0 : control.readUInt16BE(0)
    const sayable = (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999)
    if (control.length > 0 && !sayable) this.fail(1002, 'invalid close code')
    else {
      this.over = true
      this.events.close(code, control.toString('utf8', 2))
    }
  }

  /** The mask goes round with the frame, wherever the reads cut it. */
  private unmask(bytes: Buffer): void {
    const { mask } = this
    if (bytes.length < worthACall) plainUnmask(bytes, mask)
    else unmask(bytes, mask)
    const turned = bytes.length & 3
    if (turned > 0) mask.set([mask[turned & 3]!, mask[(turned + 1) & 3]!, mask[(turned + 2) & 3]!, mask[(turned + 3) & 3]!])
  }

  /** Answers where the bytes after it begin. */
  private readHeader(memory: Buffer, start: number, end: number): number {
    const { head } = this
    let at = start
    while (at < end) {
      head[this.headLength++] = memory[at++]!
      if (this.headLength === 2 && !this.startFrame()) return end
      if (this.headLength < 2) continue
      const short = head[1]! & 0x7f
      const extended = short === 127 ? 8 : short === 126 ? 2 : 0
      if (this.headLength < 2 + extended + 4) continue
      this.headLength = 0
      const length =
        extended === 8 ? head.readUInt32BE(2) * 2 ** 32 + head.readUInt32BE(6) : extended === 2 ? head.readUInt16BE(2) : short
      head.copy(this.mask, 0, 2 + extended, 6 + extended)
      this.masked = this.mask.readUInt32BE(0) !== 0
      this.startPayload(length)
      return at
    }
    return at
  }

  private startFrame(): boolean {
    const [first, second] = [this.head[0]!, this.head[1]!]
    this.opcode = first & 0x0f
    this.fin = (first & 0x80) !== 0
    const isControl = this.opcode >= opcodes.close
    if ((first & 0x70) !== 0) this.fail(1002, 'reserved bits are set')
    else if (this.opcode > opcodes.pong || (this.opcode > opcodes.binary && !isControl)) this.fail(1002, 'invalid opcode')
    else if ((second & 0x80) === 0) this.fail(1002, 'a client’s frame must be masked')
    else if (isControl && (!this.fin || (second & 0x7f) > longestControl)) this.fail(1002, 'invalid control frame')
    else if (!isControl && (this.opcode === opcodes.continuation) !== this.inMessage) this.fail(1002, 'invalid order of frames')
    return !this.over
  }

  private startPayload(length: number): void {
    this.inFrame = true
    this.left = length
    if (this.opcode >= opcodes.close) {
      this.control = Buffer.alloc(length)
      this.controlLength = 0
      return
    }
    this.messageLength = this.inMessage ? this.messageLength + length : length
    if (this.opcode !== opcodes.continuation) this.type = this.opcode
    this.inMessage = !this.fin
    this.firstPiece = true
    if (this.messageLength > this.maxMessage) this.fail(1009, 'message too big')
  }

  private fail(code: number, reason: string): void {
    this.over = true
    this.events.broken(code, reason)
  }
}
