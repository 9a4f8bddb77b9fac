/** Client-to-server messages of RFB as bytes, and random streams of them: what tests feed the filter with. */
import fc from 'fast-check'
import { setEncodings } from '../streams/rfb/viewer-filter.ts'

export const handshakeBytes = Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.from([1]), Buffer.from([0])])

export const setPixelFormat = (): Buffer =>
  Buffer.from('00000000201800010000ff00ff00ff1008000000'.padEnd(40, '0').slice(0, 40), 'hex')
export const updateRequest = (incremental = 1): Buffer => Buffer.from([3, incremental, 0, 0, 0, 0, 5, 0, 2, 0xd0])
export const key = (down: boolean, symbol: number): Buffer => {
  const message = Buffer.from([4, down ? 1 : 0, 0, 0, 0, 0, 0, 0])
  message.writeUInt32BE(symbol, 4)
  return message
}
export const pointer = (mask: number, x: number, y: number): Buffer => {
  const message = Buffer.from([5, mask, 0, 0, 0, 0])
  message.writeUInt16BE(x, 2)
  message.writeUInt16BE(y, 4)
  return message
}
export const cutText = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string, 'latin1')
  const header = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0])
  header.writeInt32BE(bytes.length, 4)
  return Buffer.concat([header, bytes])
}
export const extendedCutText = (flags: number, body: Buffer = Buffer.alloc(0)): Buffer => {
  const header = Buffer.from([6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  header.writeInt32BE(-(4 + body.length), 4)
  header.writeUInt32BE(flags, 8)
  return Buffer.concat([header, body])
}
export const continuousUpdates = (): Buffer => Buffer.from([150, 1, 0, 0, 0, 0, 5, 0, 2, 0xd0])
export const fence = (length: number): Buffer =>
  Buffer.concat([Buffer.from([248, 0, 0, 0, 0x80, 0, 0, 1, length]), Buffer.alloc(length, 7)])
export const xvp = (): Buffer => Buffer.from([250, 0, 1, 2])
export const setDesktopSize = (width: number, height: number, screens = 1): Buffer => {
  const message = Buffer.alloc(8 + 16 * screens)
  message.writeUInt8(251, 0)
  message.writeUInt16BE(width, 2)
  message.writeUInt16BE(height, 4)
  message.writeUInt8(screens, 6)
  for (let screen = 0; screen < screens; screen++) {
    message.writeUInt32BE(0xabc0 + screen, 8 + 16 * screen)
    message.writeUInt16BE(width, 16 + 16 * screen)
    message.writeUInt16BE(height, 18 + 16 * screen)
  }
  return message
}
export const qemuKey = (symbol: number): Buffer => {
  const message = Buffer.from([255, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 30])
  message.writeUInt32BE(symbol, 4)
  return message
}

const byte = fc.integer({ min: 0, max: 255 })
const short = fc.integer({ min: 0, max: 65_535 })

/** Any message a client may send. */
export const anyMessage: fc.Arbitrary<Buffer> = fc.oneof(
  fc.constant(setPixelFormat()),
  fc.array(fc.integer({ min: -400, max: 50 }), { maxLength: 30 }).map(setEncodings),
  fc.constant(updateRequest()),
  fc.tuple(fc.boolean(), fc.nat(0xffff)).map(([down, symbol]) => key(down, symbol)),
  fc.tuple(byte, short, short).map(([mask, x, y]) => pointer(mask, x, y)),
  fc.uint8Array({ maxLength: 300 }).map(bytes => cutText(Buffer.from(bytes))),
  fc
    .tuple(fc.constantFrom(1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 0x1f << 24), fc.uint8Array({ maxLength: 100 }))
    .map(([flags, body]) => extendedCutText((flags | 1) >>> 0, Buffer.from(body))),
  fc.constant(continuousUpdates()),
  fc.nat(64).map(fence),
  fc.constant(xvp()),
  fc.tuple(short, short, fc.nat(255)).map(([w, h, screens]) => setDesktopSize(w, h, screens)),
  fc.nat(0xffff).map(qemuKey),
)

/** The same bytes in pieces of random lengths. */
export function inPieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = []
  let at = 0
  for (let index = 0; at < bytes.length; index++) {
    const length = Math.max(1, cuts[index % Math.max(1, cuts.length)] ?? bytes.length)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}
