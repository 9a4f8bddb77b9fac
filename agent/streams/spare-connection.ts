/**
 * A connection to the API that stands before a stream needs it: its data socket is open a round trip sooner (with TLS two). It is dialled when a stream is
 * likely, kept for less time than anything on the way takes to forget a silent connection, and never relied on: a stream that it fails dials anew.
 */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock } from '../clock.ts'

const keptMs = 25_000

export class SpareConnection {
  private kept: { origin: string; socket: Socket; cancel: () => void } | null = null
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A stream to this address is likely soon. */
  expect(url: string): void {
    const { origin } = new URL(url)
    if (this.kept?.origin === origin) return
    this.drop()
    const socket = dial(new URL(url))
    const lost = () => {
      if (this.kept?.socket === socket) this.drop()
    }
    socket.on('error', lost)
    socket.once('close', lost)
    // Nothing was asked: whatever it says is a goodbye.
    for (const event of ['data', 'end']) socket.on(event, lost)
    this.kept = { origin, socket, cancel: this.clock.after(keptMs, lost) }
  }

  /** It is the caller's from now on. null: there is none for this address. */
  take(url: string): Socket | null {
    const { kept } = this
    if (kept === null || kept.origin !== new URL(url).origin) return null
    this.kept = null
    kept.cancel()
    for (const event of ['data', 'end', 'error', 'close']) kept.socket.removeAllListeners(event)
    return kept.socket
  }

  drop(): void {
    const { kept } = this
    this.kept = null
    kept?.cancel()
    kept?.socket.destroy()
  }
}

function dial({ protocol, hostname, port }: URL): Socket {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (protocol !== 'wss:') return connect({ host, port: Number(port || 80), noDelay: true })
  return connectTls({ host, port: Number(port || 443), servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] })
}
