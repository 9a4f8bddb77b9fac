/**
 * Requests to the API server. Who we are and whom we trust comes from client-node's KubeConfig; the transport is ours, because a runtime must
 * own what the library hides: one budget for all loops, Retry-After, a deadline per attempt, back-pressure on streams, and a watch
 * that notices torn JSON.
 */
import http, { type IncomingMessage, type RequestOptions } from 'node:http'
import https from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import { WebSocket } from 'ws'
import { type Clock, sleep } from '#agent/clock.ts'
import { isKubeError, KubeError } from './kube-error.ts'
import { type Priority, RequestBudget } from './request-budget.ts'

const patchTypes = {
  merge: 'application/merge-patch+json',
  /** Lists of named things are merged by name. */
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

export interface KubeRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path below the server's address, e.g. `/api/v1/namespaces/a/pods`. */
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  /** What a PATCH is; default `merge`. `apply`: server-side apply, also of what is not there yet. */
  patch?: keyof typeof patchTypes
  /** Whose rights it is asked with: `system:serviceaccount:<namespace>:<name>`; default our own. */
  as?: string
  priority: Priority
  signal: AbortSignal
  /** How long failures that pass by themselves are waited out; default 30 s. 0: the first answer counts. */
  patienceMs?: number
}

export interface KubeClient {
  /** The answer's JSON. Rejects with KubeError. */
  request<T>(request: KubeRequest): Promise<T>
  /** An answer whose body comes bit by bit (watch, logs); whoever reads it destroys it. */
  stream(request: KubeRequest): Promise<IncomingMessage>
  /** `as`: see KubeRequest. */
  upgrade(path: string, protocol: string, signal: AbortSignal, as?: string): Promise<WebSocket>
  /** The API server's clock minus ours, ms: its stamps become ours by subtracting this. */
  clockOffset(): number
  close(): void
}

const answerMs = 15_000
const defaultPatienceMs = 30_000
const longestHoldMs = 30_000
const largestAnswer = 64 * 1024 * 1024
const noteworthyOffsetMs = 2_000

export interface KubeClientParts {
  config: KubeConfig
  clock: Clock
  random: () => number
}

export function createKubeClient({ config, clock, random }: KubeClientParts): KubeClient {
  const server = new URL(config.getCurrentCluster()?.server ?? 'https://no-cluster.invalid')
  const secure = server.protocol === 'https:'
  const budget = new RequestBudget(clock)
  const agents = { short: newAgent(secure), long: newAgent(secure) }
  let offset = 0

  const address = (request: Pick<KubeRequest, 'path' | 'query'>) => {
    const url = new URL(server.pathname.replace(/\/$/, '') + request.path, server)
    for (const [key, value] of Object.entries(request.query ?? {}))
      if (value !== undefined) url.searchParams.set(key, String(value))
    return url
  }

  /** Answers with the response head; its body is unread. */
  async function send(request: KubeRequest, agent: http.Agent, signal: AbortSignal): Promise<IncomingMessage> {
    const options: RequestOptions = {}
    await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0])
    const proxied = config.getCurrentCluster()?.proxyUrl !== undefined
    const body = request.body === undefined ? undefined : JSON.stringify(request.body)
    const headers: Record<string, string> = { ...(options.headers as Record<string, string>), accept: 'application/json' }
    if (request.as !== undefined) headers['impersonate-user'] = request.as
    if (body !== undefined) {
      headers['content-type'] = request.method === 'PATCH' ? patchTypes[request.patch ?? 'merge'] : 'application/json'
      headers['content-length'] = String(Buffer.byteLength(body))
    }
    return await new Promise((resolve, reject) => {
      const outgoing = (secure ? https : http).request(
        address(request),
        { ...options, method: request.method, headers, signal, agent: proxied ? (options.agent as http.Agent) : agent },
        resolve,
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  }

  /** One attempt, with its own deadline until the head (`wholeBody: false`) or the whole answer is there. */
  async function attempt<T>(
    request: KubeRequest,
    read: (response: IncomingMessage) => Promise<T>,
    agent: http.Agent,
  ): Promise<T> {
    const turn = await budget.take(request.priority, request.signal)
    const life = new AbortController()
    const forward = () => life.abort(request.signal.reason)
    request.signal.addEventListener('abort', forward, { once: true })
    const cancelDeadline = clock.after(answerMs, () => life.abort(new Error(`no answer within ${answerMs / 1000} s`)))
    try {
      if (request.signal.aborted) throw request.signal.reason
      const response = await send(request, agent, life.signal)
      noteClock(response)
      if (response.statusCode! < 200 || response.statusCode! > 299) {
        const text = await textOf(response)
        const error = KubeError.fromAnswer(response.statusCode!, text, response.headers['retry-after'])
        if (error.isPassing) turn.strained(Math.min(longestHoldMs, error.retryAfterMs ?? 250 + random() * 750))
        throw error
      }
      const value = await read(response)
      turn.succeeded()
      return value
    } catch (error) {
      if (error instanceof KubeError) throw error
      if (request.signal.aborted) throw request.signal.reason
      turn.strained(250 + random() * 750)
      dropIdle(agent)
      const detail = life.signal.aborted ? (life.signal.reason as Error).message : (error as Error).message
      throw KubeError.noAnswer(error, detail)
    } finally {
      turn.succeeded()
      cancelDeadline()
      request.signal.removeEventListener('abort', forward)
    }
  }

  async function patiently<T>(request: KubeRequest, once: () => Promise<T>): Promise<T> {
    const end = clock.now() + (request.patienceMs ?? defaultPatienceMs)
    for (let tries = 0; ; tries++) {
      try {
        return await once()
      } catch (error) {
        const again = error instanceof KubeError && error.isPassing && !isFinalFailure(error)
        const wait = Math.min(5_000, 250 * 2 ** tries) * (0.5 + random() / 2)
        if (!again || clock.now() + wait >= end) throw error
        await sleep(clock, wait, request.signal)
      }
    }
  }

  function noteClock(response: IncomingMessage): void {
    const date = Date.parse(response.headers.date ?? '')
    if (Number.isNaN(date)) return
    const difference = date - clock.wall()
    // The header counts whole seconds: less than two of them is no difference.
    offset = Math.abs(difference) < noteworthyOffsetMs ? 0 : difference
  }

  return {
    request: request =>
      patiently(request, () =>
        attempt(
          request,
          async response => {
            const text = await textOf(response)
            try {
              return JSON.parse(text)
            } catch (cause) {
              throw KubeError.noAnswer(cause, 'its answer is not JSON')
            }
          },
          agents.short,
        ),
      ),
    stream: request => attempt({ ...request }, async response => bound(response, request.signal), agents.long),
    upgrade: async (path, protocol, signal, as) => {
      const options: RequestOptions = {}
      await config.applyToHTTPSOptions(options as Parameters<KubeConfig['applyToHTTPSOptions']>[0])
      if (as !== undefined) options.headers = { ...(options.headers as Record<string, string>), 'impersonate-user': as }
      const [place, query = ''] = path.split('?')
      const url = address({ path: place! })
      // As it is: a command has many words under one name.
      url.search = query
      url.protocol = secure ? 'wss:' : 'ws:'
      return await openWebSocket(url, protocol, options, signal)
    },
    clockOffset: () => offset,
    close() {
      agents.short.destroy()
      agents.long.destroy()
    },
  }
}

/** A 500 that says it will say so again. */
function isFinalFailure(error: KubeError): boolean {
  return isKubeError(error, 501) || isKubeError(error, 505)
}

function newAgent(secure: boolean): http.Agent {
  return secure ? new https.Agent({ keepAlive: true, maxFreeSockets: 4 }) : new http.Agent({ keepAlive: true, maxFreeSockets: 4 })
}

/** After a failure the connections we kept may be as dead as the one that failed. */
function dropIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > largestAnswer) throw new Error('the answer is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The stream lives as long as the signal, not as long as the attempt that opened it. */
function bound(response: IncomingMessage, signal: AbortSignal): IncomingMessage {
  const cut = () => response.destroy()
  if (signal.aborted) cut()
  signal.addEventListener('abort', cut, { once: true })
  response.once('close', () => signal.removeEventListener('abort', cut))
  return response
}

function openWebSocket(url: URL, protocol: string, options: RequestOptions, signal: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const { agent, ...rest } = options as { agent?: http.Agent } & Record<string, unknown>
    const socket = new WebSocket(url, [protocol], {
      ...rest,
      // A proxy's agent must be used; a plain one would only pool what is never reused.
      ...(agent && !(agent.constructor === https.Agent || agent.constructor === http.Agent) && { agent }),
      perMessageDeflate: false,
      handshakeTimeout: answerMs,
      maxPayload: 32 * 1024 * 1024,
    })
    const abort = () => socket.terminate()
    signal.addEventListener('abort', abort, { once: true })
    const settle = (done: () => void) => {
      signal.removeEventListener('abort', abort)
      done()
    }
    // Whatever arrives between the open event and its reader must not be lost.
    socket.once('open', () =>
      settle(() => {
        socket.pause()
        resolve(socket)
      }),
    )
    socket.once('unexpected-response', (_request, response) => {
      textOf(response)
        .catch(() => '')
        .then(text => settle(() => reject(KubeError.fromAnswer(response.statusCode ?? 0, text, response.headers['retry-after']))))
    })
    socket.on('error', error => settle(() => reject(signal.aborted ? signal.reason : KubeError.noAnswer(error, error.message))))
  })
}
