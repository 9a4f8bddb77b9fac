/**
 * HTTP by @hono/node-server, and one upgrade handler of our own that never leaves a socket hanging: it switches, answers with the app's
 * problem in full, or refuses what is no WebSocket handshake at all.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { newId } from '../ids.ts'
import type { Log } from '../platform.ts'
import { Problem, problemResponse } from '../problem.ts'
import { answerRaw } from './raw-answer.ts'
import { streamAnswer } from './stream-answer.ts'
import { Upgrade, type Upgrades } from './upgrades.ts'

export interface NodeEnv {
  incoming: IncomingMessage
}
type Fetch = (request: Request, env: NodeEnv) => Response | Promise<Response>

/** A request's head must be here within this; bodies may take long, but not stand still (`idleMs`). */
const headersTimeout = 10_000
const idleMs = 150_000
/** A JSON body is small: whoever needs longer for it holds us up. */
const jsonBodyMs = 30_000
/** How much of a refused body is read, and for how long. */
const restBytes = 32 * 1024 * 1024
const restMs = 10_000
const maxHeaderSize = 16 * 1024
const readableHost = /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i

export interface HttpServer {
  server: Server
  /** Takes no more, lets what is under way finish within `drainMs`, then cuts. */
  close(drainMs: number): Promise<void>
}

export function httpServer(options: { fetch: Fetch; upgrades: Upgrades; log: Log; bodyMs?: number }): HttpServer {
  const { fetch, upgrades, log, bodyMs = jsonBodyMs } = options
  const ending = new AbortController()
  const answer = async (request: Request, { incoming, outgoing }: HttpBindings): Promise<Response> => {
    const fault = headFault(incoming)
    if (fault) return problemResponse(fault, newId('req'))
    if (incoming.headers['content-type']?.includes('json')) limitBody(incoming, bodyMs)
    const response = await fetch(request, { incoming })
    if (response.status >= 400 && !incoming.readableEnded) await restOf(incoming)
    if (response.headers.get('content-type')?.includes('json')) return response
    streamAnswer(response, outgoing, { log, ending: ending.signal }).catch(error =>
      log.error('answer_failed', { message: String(error) }),
    )
    return RESPONSE_ALREADY_SENT
  }
  const listener = getRequestListener((request, env) => answer(request, env as HttpBindings), {
    errorHandler: error => {
      const unread = error instanceof Error && error.name === 'RequestError'
      if (!unread) log.error('request_failed', { message: String(error) })
      const problem = unread
        ? new Problem('bad_request', 'The request line or the Host header cannot be read.')
        : new Problem('internal', 'Something went wrong on our side.')
      return problemResponse(problem, newId('req'))
    },
  })
  const server = createServer(
    {
      headersTimeout,
      requestTimeout: 0,
      connectionsCheckingInterval: 2_000,
      keepAliveTimeout: 65_000,
      maxHeaderSize,
      noDelay: true,
      shouldUpgradeCallback: request => request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    (incoming, outgoing) => void listener(incoming, outgoing),
  )
  server.timeout = idleMs
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuseUnreadable(error, socket))
  server.on('upgrade', (incoming, socket, head) => {
    upgrade(incoming, socket, head, fetch, upgrades).catch(error => {
      log.error('upgrade_failed', { message: String(error) })
      socket.destroy()
    })
  })
  // Upgraded sockets are no longer the server's to close.
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const close = async (drainMs: number) => {
    const closed = new Promise<void>(done => server.close(() => done()))
    ending.abort()
    server.closeIdleConnections()
    // Also those that stand ahead of any request: Node counts them as busy.
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, drainMs)
    await closed
    clearTimeout(timer)
  }
  return { server, close }
}

/** Who is refused while still sending must have sent it to read why: many clients see but a broken connection otherwise. */
async function restOf(incoming: IncomingMessage): Promise<void> {
  if (incoming.destroyed || Number(incoming.headers['content-length'] ?? 0) > restBytes) return
  const over = Promise.withResolvers<void>()
  const timer = setTimeout(over.resolve, restMs)
  let bytes = 0
  const count = (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > restBytes) over.resolve()
  }
  // Whoever began to read would stop it again.
  for (const event of ['data', 'readable']) incoming.removeAllListeners(event)
  incoming.on('data', count)
  for (const end of ['end', 'close', 'error']) incoming.once(end, over.resolve)
  incoming.resume()
  await over.promise
  clearTimeout(timer)
  incoming.off('data', count)
}

function limitBody(incoming: IncomingMessage, ms: number): void {
  const timer = setTimeout(() => incoming.complete || incoming.socket.destroy(), ms)
  incoming.once('end', () => clearTimeout(timer))
  incoming.once('close', () => clearTimeout(timer))
}

async function upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer, fetch: Fetch, upgrades: Upgrades): Promise<void> {
  ;(socket as Socket).setTimeout?.(0)
  const pending = new Upgrade(incoming, socket, head)
  const fault = headFault(incoming) ?? handshakeFault(incoming)
  if (fault) return answerRaw(socket, problemResponse(fault, newId('req')))
  let request: Request
  try {
    request = upgradeRequest(incoming, pending.gone)
  } catch {
    const problem = new Problem('bad_request', 'The request line or the Host header cannot be read.')
    return answerRaw(socket, problemResponse(problem, newId('req')))
  }
  upgrades.add(request, pending)
  const answer = await fetch(request, { incoming })
  if (!pending.settle(answer)) await answerRaw(socket, answer.status === 204 ? problemResponse(lost(), newId('req')) : answer)
}

const lost = () => new Problem('bad_request', 'The connection ended before it was upgraded.')

function upgradeRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers()
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) headers.append(incoming.rawHeaders[i]!, incoming.rawHeaders[i + 1]!)
  const scheme = 'encrypted' in incoming.socket && incoming.socket.encrypted ? 'https' : 'http'
  const { host = '' } = incoming.headers
  if (!readableHost.test(host) || !incoming.url?.startsWith('/')) throw new Error('unreadable')
  const url = new URL(`${scheme}://${host}${incoming.url}`)
  return new Request(url, { headers, signal })
}

/** Repeated credentials are how one server is made to see another caller than the next one. */
function headFault(incoming: IncomingMessage): Problem | null {
  let [credentials, hosts] = [0, 0]
  for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
    const name = incoming.rawHeaders[i]!
    // By length first: most headers are neither.
    if (name.length === 13 && name.toLowerCase() === 'authorization') credentials++
    else if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (credentials > 1) return new Problem('bad_request', 'The header authorization came more than once.')
  if (hosts > 1) return new Problem('bad_request', 'The header host came more than once.')
  return hosts === 1 ? null : new Problem('bad_request', 'The Host header is missing.')
}

/** All that `ws` would refuse later, with a body that says why. */
function handshakeFault(incoming: IncomingMessage): Problem | null {
  const { headers } = incoming
  if (headers['sec-websocket-version'] !== '13')
    return new Problem('upgrade_required', 'WebSocket version 13 is needed.', { headers: { 'sec-websocket-version': '13' } })
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    return new Problem('bad_request', 'Sec-WebSocket-Key is missing or malformed.')
  const protocols = headers['sec-websocket-protocol']
  if (protocols !== undefined && !/^[!#$%&'*+\-.^_`|~\w]+(\s*,\s*[!#$%&'*+\-.^_`|~\w]+)*$/.test(protocols))
    return new Problem('bad_request', 'Sec-WebSocket-Protocol is malformed.')
  const words = protocols?.split(',').map(word => word.trim()) ?? []
  if (new Set(words).size !== words.length) return new Problem('bad_request', 'Sec-WebSocket-Protocol repeats a word.')
  return null
}

function refuseUnreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const [status, title, detail] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? [431, 'Request header fields too large', `The head of a request may have at most ${maxHeaderSize} bytes.`]
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? [408, 'Request timeout', 'The head of the request did not come in time.']
        : [400, 'Bad request', 'This is not HTTP that can be read.']
  const body = { type: 'about:blank', title, status, detail, code: 'bad_request', request_id: newId('req') }
  void answerRaw(
    socket,
    new Response(JSON.stringify(body), { status: status as number, headers: { 'content-type': 'application/problem+json' } }),
  )
}
