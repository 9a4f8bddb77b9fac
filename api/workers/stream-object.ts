/**
 * One stream. The viewer's upgrade and the agent's data socket both come here; each is answered with one end of the same WebSocketPair, and
 * workerd pumps between them: no JavaScript sees a message, a slow viewer stops its own source by TCP, and nobody else waits for it. From then on
 * the object cannot look at the bytes; it can only let both ends go.
 */
import { DurableObject } from 'cloudflare:workers'
import type { ProblemCode } from '../problem.ts'
import type { Bindings } from './bindings.ts'

export type Side = 'viewer' | 'agent'
/** `side,protocol,patience`: what the tunnel says of an upgrade; nobody else reaches an object. */
export const sideHeader = 'x-porthole-side'

export interface Refusal {
  status: number
  code: ProblemCode
  detail: string
}

const noMeeting: Refusal = { status: 504, code: 'target_timeout', detail: 'The session did not answer in time.' }
const unknown: Refusal = { status: 404, code: 'not_found', detail: 'Nobody waits for this stream.' }

interface Waiting {
  protocol: string | null
  settle(answer: Response): void
}

export class StreamObject extends DurableObject<Bindings> {
  private readonly waiting = new Map<Side, Waiting>()
  private over: Refusal | null = null

  override async fetch(request: Request): Promise<Response> {
    const [side, protocol, patience] = JSON.parse(request.headers.get(sideHeader)!) as [Side, string | null, number]
    if (this.over || this.waiting.has(side)) return refusal(this.over ?? unknown)
    const other = this.waiting.get(side === 'viewer' ? 'agent' : 'viewer')
    if (other) {
      const [far, near] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket]
      this.over = unknown
      other.settle(upgraded(far, other.protocol))
      return upgraded(near, protocol)
    }
    return new Promise<Response>(resolve => {
      const timer = setTimeout(() => this.refuse(noMeeting), patience)
      const settle = (answer: Response) => {
        clearTimeout(timer)
        this.waiting.delete(side)
        resolve(answer)
      }
      this.waiting.set(side, { protocol, settle })
    })
  }

  /** Whoever waits waits in vain. False: they have met. */
  refuse(why: Refusal): boolean {
    if (this.over && this.waiting.size === 0) return false
    this.over = why
    this.waiting.get('viewer')?.settle(refusal(why))
    this.waiting.get('agent')?.settle(refusal(unknown))
    return true
  }

  /** Drops both sockets, without a word: for ends that the agent did not bring about in time. */
  cut(): void {
    this.ctx.abort('the stream was ended')
  }
}

function upgraded(webSocket: WebSocket, protocol: string | null): Response {
  return new Response(null, { status: 101, webSocket, headers: protocol === null ? {} : { 'sec-websocket-protocol': protocol } })
}

function refusal(why: Refusal): Response {
  return Response.json(why, { status: why.status })
}
