/** Writes a whole HTTP answer on the bare socket of an upgrade that is not going to happen. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'

const lingerMs = 1_000
const skipped = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'date'])

export async function answerRaw(socket: Duplex, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer())
  if (socket.destroyed || !socket.writable) return void socket.destroy()
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? 'Status'}`]
  for (const [name, value] of response.headers) if (!skipped.has(name)) lines.push(`${name}: ${value}`)
  lines.push(`date: ${new Date().toUTCString()}`, `content-length: ${body.length}`, 'connection: close')
  const timer = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(timer))
  // A peer that keeps sending must not hold us: what it says is dropped until both sides are done.
  socket.removeAllListeners('data')
  socket.on('error', () => {})
  socket.once('end', () => socket.destroy())
  socket.resume()
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]))
}
