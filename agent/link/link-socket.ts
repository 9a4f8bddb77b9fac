/** The few things the link needs of a WebSocket, so that tests can hand it one made of two function calls. */
import { WebSocket } from 'ws'
import { linkSubprotocol, maxLinkMessage } from '#protocol/link-messages.ts'

export interface LinkSocket {
  send(text: string): void
  close(code: number, reason: string): void
  /** Gone at once, without goodbye. */
  terminate(): void
}

export interface LinkSocketEvents {
  message(text: string): void
  /** Any sign of the other side, also pings and pongs of the socket itself. */
  life(): void
  closed(code: number, reason: string): void
}

export type DialLink = (events: LinkSocketEvents, signal: AbortSignal) => Promise<LinkSocket>

/** The server answered the upgrade with an HTTP status instead. `date` is its clock, for telling a wrong clock of ours from a wrong key. */
export class UpgradeRefused extends Error {
  readonly status: number
  readonly date: number | null
  constructor(status: number, detail: string, date: number | null) {
    super(`the API answered ${status}${detail ? `: ${detail}` : ''}`)
    this.name = 'UpgradeRefused'
    this.status = status
    this.date = date
  }
}

const dialDeadlineMs = 10_000

/** Masking hides nothing over TLS and costs a copy of every byte; RFC 6455 only wants four bytes here. */
export const zeroMask = (mask: Buffer): void => {
  mask.fill(0)
}

export function webSocketUrl(origin: string, path: string): string {
  const url = new URL(path, origin)
  url.protocol = url.protocol.replace(/^http/, 'ws')
  return url.href
}

export function dialWebSocketLink(origin: string, authorization: () => Promise<string>): DialLink {
  return async (events, signal) => {
    const token = await authorization()
    signal.throwIfAborted()
    return new Promise<LinkSocket>((resolve, reject) => {
      const ws = new WebSocket(webSocketUrl(origin, '/v1/agent/link'), linkSubprotocol, {
        headers: { authorization: `Bearer ${token}` },
        perMessageDeflate: false,
        maxPayload: maxLinkMessage,
        handshakeTimeout: dialDeadlineMs,
        closeTimeout: 1000,
        generateMask: zeroMask,
      } as WebSocket.ClientOptions)
      const abort = () => ws.terminate()
      signal.addEventListener('abort', abort, { once: true })
      let failure: Error | null = null
      ws.on('unexpected-response', (request, response) => {
        const date = Date.parse(response.headers.date ?? '')
        const chunks: Buffer[] = []
        let size = 0
        const done = () => {
          failure = new UpgradeRefused(
            response.statusCode ?? 0,
            problemDetail(Buffer.concat(chunks).toString()),
            Number.isNaN(date) ? null : date,
          )
          request.destroy()
          reject(failure)
        }
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size <= 16_384) chunks.push(chunk)
        })
        response.once('end', done).once('error', done)
      })
      ws.on('error', error => {
        failure ??= error
        reject(failure)
      })
      ws.on('close', (code, reason) => {
        signal.removeEventListener('abort', abort)
        reject(failure ?? new Error('the connection was cut while opening'))
        events.closed(code, reason.toString())
      })
      ws.on('message', (data, binary) => {
        events.life()
        if (binary) ws.close(4400, 'binary message on the link')
        else events.message(data.toString())
      })
      ws.on('ping', events.life)
      ws.on('pong', events.life)
      ws.on('open', () =>
        resolve({
          send: text => ws.send(text, error => void error),
          close: (code, reason) => ws.close(code, reason),
          terminate: () => ws.terminate(),
        }),
      )
    })
  }
}

/** The sentence of a problem+json answer, if it is one. */
export function problemDetail(body: string): string {
  try {
    const problem = JSON.parse(body) as { detail?: unknown; title?: unknown }
    const words = problem.detail ?? problem.title
    return typeof words === 'string' ? words.slice(0, 300) : ''
  } catch {
    return ''
  }
}
