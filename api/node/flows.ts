/** What can flow over a data socket, as one kind of thing: a relayed viewer, an HTTP exchange, a log. */
import type { WebSocket } from 'ws'
import type { CloseWord } from '#protocol/close-codes.ts'
import type { StreamGrant } from '../platform.ts'
import { type ExchangeEnd, HttpExchange } from '../tunnel/exchange.ts'
import { LogStream } from '../tunnel/log-stream.ts'
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
  const relay = new Relay(viewer, agent, events)
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
  if (grant.kind === 'logs') {
    const log = new LogStream(socket, signal, events.ended)
    const flow = { grant, close: (word: CloseWord, reason?: string) => log.finish(word, reason), check() {} }
    return { flow, response: Promise.resolve(log.response) }
  }
  const exchange = new HttpExchange(socket, body, signal, events.ended)
  let moves = -1
  let movedAt = events.now()
  const flow: Flow = {
    grant,
    close: (word, reason) => exchange.finish(word, reason),
    check() {
      if (exchange.moves !== moves) movedAt = events.now()
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
