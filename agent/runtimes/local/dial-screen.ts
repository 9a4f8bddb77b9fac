/** A connected RFB socket. Only its connecting is waited for: a probing handshake per dial would be noise in the display server's eyes. */
import type { Socket } from 'node:net'
import { DialError, type Dialled } from '../runtime.ts'

export async function dialScreen(connect: () => Socket, signal: AbortSignal): Promise<Dialled> {
  const socket = connect()
  const abort = () => socket.destroy(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } catch (cause) {
    signal.throwIfAborted()
    throw new DialError(502, 'target_refused', `the screen does not answer: ${(cause as Error).message}`)
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return { kind: 'bytes', socket }
}
