/**
 * One recording: a viewer that looks and never touches, writing what the screen sends into a file of the old format FBS 001.001 (rfbproxy's; many players
 * read it): blocks of length, bytes padded to four, and milliseconds since the start. It asks for changes by the clock instead of reading the
 * updates to see where they end: a still screen costs nothing, a wild one a few frames a second.
 */
import { open } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import type { Display } from '#protocol/session-spec.ts'
import type { Clock } from '../clock.ts'
import { greetTarget } from '../streams/rfb/target-handshake.ts'

export interface RecorderParts {
  socket: Duplex
  /** Must not exist yet. */
  path: string
  clock: Clock
  /** Size of the screen now. */
  display: () => Display
  /** Bytes this file may have. */
  room: number
}

const askEveryMs = 200
/** What noVNC asks for too, as it is what plays these: 32 bits, little endian, red in the lowest byte. */
const pixelFormat = Buffer.from([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0])
/** Tight, ZRLE, hextile, copy, raw; JPEG quality 6, effort 6; cursor, size of the screen, open-ended updates. */
const encodings = [7, 16, 5, 1, 0, -26, -250, -239, -223, -224]
/** What a player reads before the screen introduces itself: version, one security type (none), and that it was right. */
const greeting = Buffer.from('RFB 003.008\n\x01\x01\0\0\0\0', 'latin1')

/** Until the screen is gone, the signal aborts or the file is full. Rejects when there is nothing to record or to record to. */
export async function record(parts: RecorderParts, signal: AbortSignal): Promise<void> {
  const { socket, clock } = parts
  const cut = () => socket.destroy()
  signal.addEventListener('abort', cut, { once: true })
  let cancel = () => {}
  try {
    await greetTarget(socket, signal)
    const file = await open(parts.path, 'wx', 0o600)
    try {
      const began = clock.now()
      let size = 0
      const write = async (bytes: Uint8Array) => {
        await file.appendFile(bytes)
        size += bytes.length
      }
      await write(Buffer.from('FBS 001.001\n'))
      await write(block(greeting, 0))
      socket.write(Buffer.concat([Buffer.from([1]), pixelFormat, setEncodings(encodings), ask(parts.display(), false)]))
      const askAgain = () => {
        if (socket.writableLength === 0) socket.write(ask(parts.display(), true))
        cancel = clock.after(askEveryMs, askAgain)
      }
      cancel = clock.after(askEveryMs, askAgain)
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        if (size + chunk.length > parts.room) return
        await write(block(chunk, clock.now() - began))
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!signal.aborted && (error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  } finally {
    cancel()
    signal.removeEventListener('abort', cut)
    socket.destroy()
  }
}

function block(bytes: Buffer, ms: number): Buffer {
  const padded = Math.ceil(bytes.length / 4) * 4
  const whole = Buffer.alloc(4 + padded + 4)
  whole.writeUInt32BE(bytes.length, 0)
  bytes.copy(whole, 4)
  whole.writeUInt32BE(Math.round(ms), 4 + padded)
  return whole
}

function setEncodings(list: number[]): Buffer {
  const message = Buffer.alloc(4 + 4 * list.length)
  message.writeUInt8(2, 0)
  message.writeUInt16BE(list.length, 2)
  for (const [at, number] of list.entries()) message.writeInt32BE(number, 4 + 4 * at)
  return message
}

function ask({ width, height }: Display, incremental: boolean): Buffer {
  const message = Buffer.alloc(10)
  message.writeUInt8(3, 0)
  message.writeUInt8(incremental ? 1 : 0, 1)
  message.writeUInt16BE(width, 6)
  message.writeUInt16BE(height, 8)
  return message
}
