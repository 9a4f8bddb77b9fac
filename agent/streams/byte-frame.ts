/**
 * A binary message towards the API, with its header in front of the bytes where they lie: one write instead of two, and nothing put together anew. Only for
 * sockets without compression, whose frames `ws` passes straight on to the connection.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

const binaryMessage = 0x82
/** Masked, as a client's frames must be, with a key of zero. */
const masked = 0x80
const keyLength = 4

interface Place {
  /** From here on, up to `start`, the memory may be overwritten. */
  floor: number
  start: number
  end: number
}

export function sendBytes(ws: WebSocket, memory: Buffer, { floor, start, end }: Place, sent: () => void): void {
  const length = end - start
  const size = (length < 126 ? 2 : length < 65_536 ? 4 : 10) + keyLength
  const fits = start - floor >= size
  const header = fits ? memory : Buffer.allocUnsafe(size)
  const at = fits ? start - size : 0
  header[at] = binaryMessage
  header[at + 1] = masked | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (size === 4 + keyLength) header.writeUInt16BE(length, at + 2)
  else if (size > 4 + keyLength) {
    header.writeUInt32BE(0, at + 2)
    header.writeUInt32BE(length, at + 6)
  }
  header.fill(0, at + size - keyLength, at + size)
  const { _socket: connection } = ws as unknown as { _socket: Duplex }
  if (fits) connection.write(memory.subarray(at, end), sent)
  else {
    connection.cork()
    connection.write(header)
    connection.write(memory.subarray(start, end), sent)
    connection.uncork()
  }
}
