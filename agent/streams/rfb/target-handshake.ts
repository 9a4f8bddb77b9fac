/** The agent's half of the RFB handshake with the session's own server, up to the point where a client would introduce itself. */
import type { Duplex } from 'node:stream'
import { DialError } from '../../runtimes/runtime.ts'

/** Resolves once the server waits for ClientInit; the socket stays paused with nothing of it read ahead. */
export async function greetTarget(socket: Duplex, signal: AbortSignal): Promise<void> {
  const banner = (await take(socket, 12, signal)).toString('latin1')
  if (!/^RFB 003\.(008|889)\n$/.test(banner)) throw refused(`the screen speaks ${JSON.stringify(banner.trim())}, not RFB 003.008`)
  socket.write('RFB 003.008\n')
  const count = (await take(socket, 1, signal))[0]!
  if (count === 0) throw refused(`the screen refused: ${await reason(socket, signal)}`)
  const offered = await take(socket, count, signal)
  if (!offered.includes(1)) throw refused('the screen wants a password')
  socket.write(Buffer.from([1]))
  const result = (await take(socket, 4, signal)).readUInt32BE(0)
  if (result !== 0) throw refused(`the screen refused: ${await reason(socket, signal)}`)
}

const refused = (detail: string) => new DialError(502, 'target_refused', detail)

async function reason(socket: Duplex, signal: AbortSignal): Promise<string> {
  const length = (await take(socket, 4, signal)).readUInt32BE(0)
  return (await take(socket, Math.min(length, 200), signal)).toString('latin1')
}

/** Exactly so many bytes; rejects when the socket ends first or the signal aborts. */
function take(socket: Duplex, count: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (count === 0) return resolve(Buffer.alloc(0))
    const settle = (done: () => void) => {
      socket.off('readable', look).off('end', gone).off('close', gone).off('error', failed)
      signal.removeEventListener('abort', aborted)
      done()
    }
    const look = () => {
      const bytes = socket.read(count) as Buffer | null
      if (bytes === null) return
      // At its end a stream gives what is left, even if that is less.
      if (bytes.length < count) gone()
      else settle(() => resolve(bytes))
    }
    const gone = () => settle(() => reject(refused('the screen closed the connection')))
    const failed = (error: Error) => settle(() => reject(refused(`the screen: ${error.message}`)))
    const aborted = () => settle(() => reject(signal.reason))
    if (signal.aborted) return aborted()
    if (socket.destroyed || socket.readableEnded) return gone()
    socket.on('readable', look).on('end', gone).on('close', gone).on('error', failed)
    signal.addEventListener('abort', aborted)
    look()
  })
}
