/**
 * An agent's data socket that reached the wrong replica: its handshake and every byte after it are carried to the replica that waits, as they
 * are. The key in the handshake is checked there, so no trust is needed in between; one hop at most.
 */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { newId } from '../ids.ts'
import type { Log } from '../platform.ts'
import { Problem, problemResponse } from '../problem.ts'
import { answerRaw } from './raw-answer.ts'
import type { Upgrade } from './upgrades.ts'

export const hopHeader = 'x-porthole-hop'
const connectMs = 3_000

export function splice(upgrade: Upgrade, to: string, log: Log): Response {
  const { incoming, socket, early } = upgrade.take()
  const url = new URL(to)
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const onward =
    url.protocol === 'https:'
      ? connectTls({ host, port, servername: host, ALPNProtocols: ['http/1.1'] })
      : connect({ host, port })
  let joined = false
  const timer = setTimeout(() => onward.destroy(new Error('timeout')), connectMs)
  onward.setNoDelay(true)
  onward.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => {
    joined = true
    clearTimeout(timer)
    const lines = [`GET ${incoming.url} HTTP/1.1`]
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      if (incoming.rawHeaders[i]!.toLowerCase() !== hopHeader)
        lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`)
    }
    onward.write(`${lines.join('\r\n')}\r\n${hopHeader}: 1\r\n\r\n`, 'latin1')
    onward.write(early)
    socket.pipe(onward).pipe(socket)
  })
  onward.on('error', error => log.warn('splice_failed', { to, message: error.message }))
  onward.once('close', () => {
    clearTimeout(timer)
    if (joined) return socket.destroy()
    const problem = new Problem('unavailable', 'The replica that waits for this stream cannot be reached.')
    void answerRaw(socket, problemResponse(problem, newId('req')))
  })
  socket.on('error', () => {})
  socket.once('close', () => onward.destroy())
  return new Response(null, { status: 204 })
}
