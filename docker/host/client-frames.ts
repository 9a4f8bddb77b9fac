/**
 * Looks at a client's WebSocket frames on their way to the browser without taking them apart: payloads pass untouched and unmasked headers
 * are read only to tell messages from keepalives. Short whole text messages may be rewritten (`rewrite` answers null to leave them).
 */
import { Transform, type TransformCallback } from 'node:stream'

export interface FrameEyes {
  /** A data frame began: somebody does something. */
  onMessage(): void
  rewrite?(text: string): string | null
}

const continuation = 0
const textFrame = 1
const binaryFrame = 2
/** Messages worth rewriting are commands, not payloads. */
const rewritable = 16_384

interface Head {
  fin: boolean
  opcode: number
  length: number
  size: number
  mask: Buffer | null
}

export class ClientFrames extends Transform {
  private readonly eyes: FrameEyes
  private held: Buffer = Buffer.alloc(0)
  /** Payload bytes of the present frame that are still to come and just pass. */
  private passing = 0

  constructor(eyes: FrameEyes) {
    super()
    this.eyes = eyes
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let rest = this.held.length > 0 ? Buffer.concat([this.held, chunk]) : chunk
    this.held = Buffer.alloc(0)
    while (rest.length > 0) {
      if (this.passing > 0) {
        const part = rest.subarray(0, this.passing)
        this.passing -= part.length
        this.push(part)
        rest = rest.subarray(part.length)
        continue
      }
      const head = readHead(rest)
      if (!head) break
      const whole = head.fin && head.opcode === textFrame && head.length <= rewritable && this.eyes.rewrite !== undefined
      if (whole && rest.length < head.size + head.length) break
      if (head.opcode === continuation || head.opcode === textFrame || head.opcode === binaryFrame) this.eyes.onMessage()
      if (whole) {
        const frame = rest.subarray(0, head.size + head.length)
        this.push(this.rewritten(frame, head) ?? frame)
        rest = rest.subarray(frame.length)
        continue
      }
      this.push(rest.subarray(0, head.size))
      this.passing = head.length
      rest = rest.subarray(head.size)
    }
    this.held = rest
    done()
  }

  private rewritten(frame: Buffer, head: Head): Buffer | null {
    const payload = Buffer.from(frame.subarray(head.size))
    if (head.mask) for (let index = 0; index < payload.length; index++) payload[index]! ^= head.mask[index & 3]!
    const text = this.eyes.rewrite?.(payload.toString('utf8')) ?? null
    return text === null ? null : textFrameOf(text)
  }
}

function readHead(bytes: Buffer): Head | null {
  if (bytes.length < 2) return null
  const masked = (bytes[1]! & 0x80) !== 0
  const short = bytes[1]! & 0x7f
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  const size = 2 + lengthBytes + (masked ? 4 : 0)
  if (bytes.length < size) return null
  const length = lengthBytes === 2 ? bytes.readUInt16BE(2) : lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : short
  const mask = masked ? bytes.subarray(size - 4, size) : null
  return { fin: (bytes[0]! & 0x80) !== 0, opcode: bytes[0]! & 0x0f, length, size, mask }
}

/** Masked with zeros: the payload stays readable and the frame a legal client's. */
function textFrameOf(text: string): Buffer {
  const payload = Buffer.from(text, 'utf8')
  const long = payload.length > 125
  const head = Buffer.alloc(long ? 8 : 6)
  head[0] = 0x80 | textFrame
  head[1] = 0x80 | (long ? 126 : payload.length)
  if (long) head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}
