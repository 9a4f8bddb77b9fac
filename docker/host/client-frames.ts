/** Passes a client's WebSocket frames on untouched, and reads their headers on the way: a message is activity, a keepalive is not. */
import { Transform, type TransformCallback } from 'node:stream'

const firstControlOpcode = 8

export class ClientFrames extends Transform {
  private readonly onMessage: () => void
  /** Bytes of a header that has not come whole. */
  private head: Buffer = Buffer.alloc(0)
  /** Payload bytes of the present frame that are still to come. */
  private payload = 0

  constructor(onMessage: () => void) {
    super()
    this.onMessage = onMessage
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let rest = this.head.length > 0 ? Buffer.concat([this.head, chunk]) : chunk
    this.head = Buffer.alloc(0)
    while (rest.length > 0) {
      if (this.payload > 0) {
        const passed = Math.min(this.payload, rest.length)
        this.payload -= passed
        rest = rest.subarray(passed)
        continue
      }
      const frame = readHead(rest)
      if (!frame) {
        this.head = Buffer.from(rest)
        break
      }
      if (frame.opcode < firstControlOpcode) this.onMessage()
      this.payload = frame.length
      rest = rest.subarray(frame.size)
    }
    done(null, chunk)
  }
}

function readHead(bytes: Buffer): { opcode: number; length: number; size: number } | null {
  if (bytes.length < 2) return null
  const short = bytes[1]! & 0x7f
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0
  const maskBytes = (bytes[1]! & 0x80) === 0 ? 0 : 4
  const size = 2 + lengthBytes + maskBytes
  if (bytes.length < size) return null
  const length = lengthBytes === 2 ? bytes.readUInt16BE(2) : lengthBytes === 8 ? Number(bytes.readBigUInt64BE(2)) : short
  return { opcode: bytes[0]! & 0x0f, length, size }
}
