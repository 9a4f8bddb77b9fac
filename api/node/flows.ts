/** What can flow over a data socket, as one kind of thing: a relayed viewer, an HTTP exchange. */
import type { WebSocket } from 'ws'
import type { StreamGrant } from '../platform.ts'
import { type ExchangeEnd, HttpExchange } from '../tunnel/exchange.ts'
import { Relay } from './relay.ts'
import { dataSocket } from './sockets.ts'
import type { Flow } from './streams.ts'

/** An exchange in which nothing moves for this long is given up. */
const exchangeStalledMs = 120_000

export interface FlowEvents {
  now(): number
  /** Once: the stream is over. */
  ended: ExchangeEnd
  /** Once: its sockets are closed. */
  gone(): void
}

export function relayFlow(grant: StreamGrant, viewer: WebSocket, agent: WebSocket, events: FlowEvents): Flow {
  const relay = new Relay(viewer, agent, events, grant.kind === 'vnc' || grant.kind === 'port')
  return { grant, close: (word, reason) => relay.close(word, reason), check: () => relay.check() }
}

export function exchangeFlow(
  grant: StreamGrant,
  ws: WebSocket,
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
  events: FlowEvents,
): { flow: Flow; response: Promise<Response> } {
  const socket = dataSocket(ws)
  goneWhenClosed(ws, events)
  const exchange = new HttpExchange(socket, body, signal, events.ended)
  let moves = -1
  let movedAt = events.now()
  const flow: Flow = {
    grant,
    close: (word, reason) => exchange.finish(word, reason),
    check() {
      // A log may be silent for as long as its session is.
      if (exchange.moves !== moves || (grant.kind === 'logs' && !exchange.holds)) movedAt = events.now()
      moves = exchange.moves
      if (events.now() - movedAt >= exchangeStalledMs) exchange.finish('stalled')
    },
  }
  return { flow, response: exchange.response }
}

function goneWhenClosed(ws: WebSocket, events: FlowEvents): void {
  if (ws.readyState === 3) queueMicrotask(() => events.gone())
  else ws.once('close', () => events.gone())
}
