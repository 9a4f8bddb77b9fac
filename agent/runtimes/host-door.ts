/** Talks to the host program of one session: requests, and streams by upgrade. How a connection to it is made is the runtime's business. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import WebSocket from 'ws'
import { zeroMask } from '../link/link-socket.ts'
import { DialError, type Dialled, type HostRequest, type HostResponse } from './runtime.ts'

export interface HostDoor {
  /** A fresh connection; an error on it says why there is none. */
  connect(): Duplex
}

const maxMessage = 256 * 2 ** 20
/** Headers that mean something to Playwright's server; all others stay behind. */
const passedHeaders = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => /^(user-agent|x-playwright-.*)$/i.test(name)))

export async function askHost(door: HostDoor, asked: HostRequest): Promise<HostResponse> {
  const request = httpRequest({
    method: asked.method,
    path: asked.path,
    headers: { ...asked.headers, host: 'host' },
    createConnection: () => door.connect() as never,
    signal: asked.signal,
  })
  const answered = response(request)
  const sent = asked.body ? sendBody(request, asked.body, asked.headers['content-length']) : void request.end()
  // A refusal can come before the body has been taken: then the answer counts, not the broken upload.
  sent?.catch(cause => request.destroy(cause as Error))
  const answer = await answered.catch(cause => {
    asked.signal.throwIfAborted()
    throw gone(cause)
  })
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined && name !== 'connection' && name !== 'keep-alive') headers[name] = String(value)
  return { status: answer.statusCode ?? 502, headers, body: answer }
}

/**
 * What a body of known length still lacks decides which write is the last: once the host has all of it, it answers and closes, and a write after that,
 * though of nothing, would break the connection with the answer unread.
 */
async function sendBody(request: ClientRequest, body: AsyncIterable<Uint8Array>, declared: string | undefined): Promise<void> {
  let left = declared === undefined ? Number.POSITIVE_INFINITY : Number(declared)
  for await (const chunk of body) {
    if (chunk.length >= left) return void request.end(chunk.subarray(0, left))
    left -= chunk.length
    if (!request.write(chunk)) await room(request)
    if (request.destroyed) return
  }
  request.end()
}

function room(request: ClientRequest): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      for (const event of ['drain', 'close']) request.off(event, done)
      resolve()
    }
    for (const event of ['drain', 'close']) request.once(event, done)
  })
}

export async function dialMessages(
  door: HostDoor,
  path: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Dialled> {
  const socket = new WebSocket(`ws://host${path}`, {
    createConnection: () => door.connect() as never,
    headers: passedHeaders(headers),
    perMessageDeflate: false,
    maxPayload: maxMessage,
    skipUTF8Validation: true,
    closeTimeout: 1_000,
    generateMask: zeroMask,
  } as WebSocket.ClientOptions)
  const abort = () => socket.terminate()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => {
        // Nothing is lost before the one who relays it listens and calls resume().
        socket.pause()
        resolve()
      })
      socket.once('unexpected-response', (_request, answer) => {
        refusal(answer).then(reject, reject)
      })
      socket.once('error', cause => reject(signal.aborted ? signal.reason : gone(cause)))
    })
  } catch (cause) {
    socket.on('error', () => {})
    socket.terminate()
    throw cause
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return { kind: 'messages', socket }
}

/** `/vnc` and `/ports/n`: raw bytes after the upgrade. */
export async function dialBytes(door: HostDoor, path: string, signal: AbortSignal): Promise<Dialled> {
  const request = httpRequest({
    path,
    headers: { host: 'host', connection: 'Upgrade', upgrade: 'tcp' },
    createConnection: () => door.connect() as never,
    signal,
  })
  const upgraded = new Promise<Duplex>((resolve, reject) => {
    request.once('upgrade', (_answer, socket, head) => {
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.once('response', answer => refusal(answer).then(reject, reject))
    request.once('error', cause => reject(signal.aborted ? signal.reason : gone(cause)))
  })
  request.end()
  const socket = await upgraded
  return { kind: 'bytes', socket }
}

function response(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
}

async function refusal(answer: IncomingMessage): Promise<DialError> {
  let text = ''
  for await (const chunk of answer) text = (text + String(chunk)).slice(0, 4_000)
  try {
    const { code, detail } = JSON.parse(text) as { code?: unknown; detail?: unknown }
    if (typeof code === 'string' && typeof detail === 'string') return new DialError(answer.statusCode ?? 502, code, detail)
  } catch {}
  return new DialError(
    502,
    'target_refused',
    `the session refused the connection (${answer.statusCode}) ${text.slice(0, 200)}`.trim(),
  )
}

function gone(cause: unknown): Error {
  if (cause instanceof DialError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED' || code === 'ENOENT')
    return new DialError(503, 'target_gone', 'the session does not answer: it has just ended')
  return new DialError(502, 'target_refused', `the session broke the connection: ${message}`)
}
