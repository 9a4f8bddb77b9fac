/**
 * Cuts what an RFB 3.8 client sends after the handshake into whole messages, wherever the bytes were split. Only messages that the policy can
 * judge exist here: an unknown type ends the stream, because nobody knows where it ends (RFB has no lengths of its own).
 */
import { WireError } from '#protocol/close-codes.ts'

export const clientType = {
  setPixelFormat: 0,
  setEncodings: 2,
  updateRequest: 3,
  key: 4,
  pointer: 5,
  cutText: 6,
  continuousUpdates: 150,
  fence: 248,
  xvp: 250,
  setDesktopSize: 251,
  qemu: 255,
} as const

/** Largest clipboard text either way; a longer one is left out, whatever its length. */
export const clipboardCap = 256 * 1024
const maxEncodings = 1024

/** Bytes of the message that begins here; `need`: so many bytes must be there before one can tell. */
export function messageSize(bytes: Buffer): { size: number } | { need: number } {
  const known = (header: number, size: () => number) => (bytes.length < header ? { need: header } : { size: size() })
  switch (bytes[0]) {
    case undefined:
      return { need: 1 }
    case clientType.setPixelFormat:
      return { size: 20 }
    case clientType.setEncodings:
      return known(4, () => {
        const count = bytes.readUInt16BE(2)
        if (count > maxEncodings) throw new WireError('protocol', `${count} encodings`)
        return 4 + 4 * count
      })
    case clientType.updateRequest:
    case clientType.continuousUpdates:
      return { size: 10 }
    case clientType.key:
      return { size: 8 }
    // Always 6: the 7-byte form needs encoding -316, which is never let through to the server (viewer-filter.ts).
    case clientType.pointer:
      return { size: 6 }
    // Negative: the extended clipboard, its length is the amount.
    case clientType.cutText:
      return known(8, () => 8 + Math.abs(bytes.readInt32BE(4)))
    case clientType.fence:
      return known(9, () => {
        const length = bytes.readUInt8(8)
        if (length > 64) throw new WireError('protocol', `a fence of ${length} bytes`)
        return 9 + length
      })
    case clientType.xvp:
      return { size: 4 }
    case clientType.setDesktopSize:
      return known(8, () => 8 + 16 * bytes.readUInt8(6))
    case clientType.qemu:
      return known(2, () => {
        if (bytes[1] !== 0) throw new WireError('protocol', `unknown QEMU message ${bytes[1]}`)
        return 12
      })
    default:
      throw new WireError('protocol', `unknown message type ${bytes[0]}`)
  }
}

/** Remembers the beginning of a message until its end has come. Holds at most one message of `clipboardCap`. */
export class MessageCutter {
  private held: Buffer[] = []
  private size = 0
  /** Try again only with so many bytes: keeps a message that trickles in byte by byte from being copied each time. */
  private need = 1
  private skipping = 0
  private readonly each: (message: Buffer) => void

  constructor(each: (message: Buffer) => void) {
    this.each = each
  }

  feed(data: Buffer): void {
    if (this.skipping > 0) {
      const skipped = Math.min(this.skipping, data.length)
      this.skipping -= skipped
      data = data.subarray(skipped)
    }
    if (data.length === 0) return
    this.held.push(data)
    this.size += data.length
    if (this.size < this.need) return

    let rest = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held)
    this.need = 1
    while (rest.length > 0) {
      const told = messageSize(rest)
      if ('size' in told && told.size > 8 + clipboardCap) {
        this.skipping = Math.max(0, told.size - rest.length)
        rest = rest.subarray(Math.min(rest.length, told.size))
        continue
      }
      const whole = 'size' in told ? told.size : told.need
      if ('need' in told || rest.length < whole) {
        this.need = whole
        break
      }
      this.each(rest.subarray(0, whole))
      rest = rest.subarray(whole)
    }
    this.held = rest.length > 0 ? [rest] : []
    this.size = rest.length
  }
}
