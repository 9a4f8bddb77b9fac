/**
 * WebSocket upgrades on their way through the app. The server turns one into a `Request` and lets the app decide; the tunnel, deep inside,
 * finds the upgrade behind that request and says how it would accept it. Only when the app has answered does the socket switch.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { Problem } from '../problem.ts'

/** A client has nothing to say before the handshake is answered; what it says all the same is kept up to here. */
const earlyLimit = 64 * 1024

/** What every socket of ours has in common: no compression, quick goodbyes. */
const socketOptions = { noServer: true, clientTracking: false, perMessageDeflate: false, closeTimeout: 1_000 } as const

interface Acceptance {
  protocol: string | null
  maxPayload: number
  opened: (socket: WebSocket) => void
  /** Called instead of `opened` when the client left or the app answered otherwise. */
  dropped: () => void
}

export class Upgrade {
  readonly gone: AbortSignal
  private readonly leaving = new AbortController()
  private readonly early: Buffer[] = []
  private readonly incoming: IncomingMessage
  private readonly socket: Duplex
  private chosen: Acceptance | null = null
  private taken = false

  constructor(incoming: IncomingMessage, socket: Duplex, head: Buffer) {
    this.incoming = incoming
    this.socket = socket
    this.gone = this.leaving.signal
    if (head.length > 0) this.early.push(head)
    // Reading is how a client's leaving is noticed while it waits.
    socket.on('data', this.keepEarly)
    socket.on('end', this.leave)
    socket.on('close', this.leave)
    socket.on('error', this.leave)
  }

  private readonly keepEarly = (chunk: Buffer): void => {
    this.early.push(chunk)
    if (this.early.reduce((sum, part) => sum + part.length, 0) > earlyLimit) this.socket.destroy()
  }

  private readonly leave = (): void => {
    if (!this.leaving.signal.aborted) this.leaving.abort(new Error('the client left'))
  }

  /** The answer that stands for "switch protocols"; `opened` gets the socket once the app has passed it on. */
  accept(acceptance: Acceptance): Response {
    this.chosen = acceptance
    return new Response(null, { status: 204 })
  }

  /** Takes the bare socket and what came early, to be carried elsewhere as it is. */
  take(): { incoming: IncomingMessage; socket: Duplex; early: Buffer } {
    this.release()
    this.socket.pause()
    this.taken = true
    return { incoming: this.incoming, socket: this.socket, early: Buffer.concat(this.early) }
  }

  /** True when the answer was the switch (or somebody took the socket) and nothing is left to write. */
  settle(answer: Response): boolean {
    if (this.taken) return true
    const { chosen } = this
    if (!chosen) return false
    if (answer.status !== 204 || this.gone.aborted) {
      chosen.dropped()
      return false
    }
    this.release()
    const server = new WebSocketServer({
      ...socketOptions,
      maxPayload: chosen.maxPayload,
      handleProtocols: () => chosen.protocol ?? false,
    })
    server.once('headers', lines => {
      for (const [name, value] of answer.headers) if (name === 'x-request-id') lines.push(`${name}: ${value}`)
    })
    let open = false
    server.handleUpgrade(this.incoming, this.socket, Buffer.concat(this.early), socket => {
      open = true
      socket.on('error', () => {})
      chosen.opened(socket)
    })
    if (!open) chosen.dropped()
    return true
  }

  private release(): void {
    this.socket.off('data', this.keepEarly)
    this.socket.off('end', this.leave)
    this.socket.off('close', this.leave)
    this.socket.off('error', this.leave)
  }
}

/** Finds the upgrade behind a request of the app. */
export class Upgrades {
  private readonly byRequest = new WeakMap<Request, Upgrade>()

  add(request: Request, upgrade: Upgrade): void {
    this.byRequest.set(request, upgrade)
  }

  of(request: Request): Upgrade {
    const upgrade = this.byRequest.get(request)
    if (!upgrade)
      throw new Problem('upgrade_required', 'This address speaks WebSocket only.', { headers: { upgrade: 'websocket' } })
    return upgrade
  }
}
