/** The host's HTTP door: requests here, streams in upgrades.ts. Only the agent can reach it. */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { serveFile } from './files.ts'
import type { HostSpec, Size, Wait } from './host-spec.ts'
import { asRefusal, Refusal } from './problem.ts'
import type { Figures } from './processes.ts'
import type { SessionStatus } from './session-status.ts'
import { serveUpgrade, type Targets } from './upgrades.ts'

/** Late settings: what a session taken from a warm pool is given. */
export interface LateSettings {
  env?: Record<string, string>
  locale?: string
  proxy?: { server: string; bypass?: string }
}

export interface Actions {
  targets: Targets
  screenshot(source: 'screen' | 'page'): Promise<Buffer>
  resize(size: Size): Promise<Size>
  navigate(url: string, wait: Wait): Promise<void>
  /** The session's start_url, told late: that it does not open is a note, as at a start. */
  openStart(url: string, wait: Wait): Promise<void>
  relaunch(settings: LateSettings): Promise<void>
  figures(): Figures
}

const longestPoll = 60_000
const largestBody = 65_536
/** How much of a refused body is taken, and for how long. */
const restBytes = 16 * 1024 * 1024
const restMs = 5_000

export async function serve(spec: HostSpec, status: SessionStatus, actions: Actions): Promise<Server> {
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 30_000 }, (request, response) => {
    answer(spec, status, actions, request, response).catch(async cause => {
      const refusal = asRefusal(cause)
      if (response.headersSent) return response.destroy()
      await restOf(request)
      response.writeHead(refusal.status, { 'content-type': 'application/json', connection: 'close' })
      response.end(refusal.body())
    })
  })
  server.on('upgrade', (request, socket, head) => void serveUpgrade(actions.targets, status, request, socket, head))
  const { listen } = spec
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if ('socket' in listen) {
      rmSync(listen.socket, { force: true })
      server.listen(listen.socket, resolve)
    } else server.listen(listen.port, listen.host, resolve)
  })
  if ('socket' in listen) chmodSync(listen.socket, 0o600)
  return server
}

/** Who is refused while still sending finds a broken connection, and no answer, unless what it sends is taken. */
async function restOf(request: IncomingMessage): Promise<void> {
  if (request.readableEnded || request.destroyed) return
  const over = Promise.withResolvers<void>()
  const timer = setTimeout(over.resolve, restMs)
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > restBytes) over.resolve()
  })
  for (const end of ['end', 'close', 'error']) request.once(end, () => over.resolve())
  request.resume()
  await over.promise
  clearTimeout(timer)
}

async function answer(
  spec: HostSpec,
  status: SessionStatus,
  actions: Actions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://host')
  const route = `${request.method} ${url.pathname}`
  if (url.pathname === '/files' || url.pathname.startsWith('/files/')) return await serveFile(spec.home, url, request, response)
  if (route === 'GET /status') {
    const since = Number(url.searchParams.get('since') ?? -1)
    const wait = Math.min(longestPoll, Number(url.searchParams.get('wait') ?? 0) * 1000)
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    return json(response, 200, await status.newerThan(since, wait, gone.signal))
  }
  if (route === 'GET /screenshot') {
    const picture = await actions.screenshot(url.searchParams.get('source') === 'page' ? 'page' : 'screen')
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': picture.length, 'cache-control': 'no-store' })
    response.end(picture)
    return
  }
  if (route === 'GET /metrics') return json(response, 200, actions.figures())
  if (route === 'POST /activity') {
    status.active()
    return json(response, 200, {})
  }
  if (route === 'POST /display') {
    const { width, height } = await body<Partial<Size>>(request)
    if (!Number.isFinite(width) || !Number.isFinite(height)) throw new Refusal(422, 'invalid', 'width and height must be numbers')
    return json(response, 200, await actions.resize({ width: width!, height: height! }))
  }
  if (route === 'POST /navigate') {
    const { url: target, wait = 'domcontentloaded', start } = await body<{ url?: string; wait?: Wait; start?: boolean }>(request)
    if (!target || !isOpenable(target)) throw new Refusal(422, 'invalid', 'url must be http, https, data or about:blank')
    await (start ? actions.openStart(target, wait) : actions.navigate(target, wait))
    return json(response, 200, {})
  }
  if (route === 'POST /relaunch') {
    await actions.relaunch(await body<LateSettings>(request))
    return json(response, 200, {})
  }
  throw new Refusal(404, 'not_found', `the host does not know ${route}`)
}

/** Never file: or chrome: — a page may ask for these only by the hand of the person at the screen. */
export function isOpenable(url: string): boolean {
  return url === 'about:blank' || /^(https?:\/\/|data:)/i.test(url)
}

async function body<T>(request: IncomingMessage): Promise<T> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > largestBody) throw new Refusal(413, 'too_large', 'the body is too large')
  }
  try {
    return (text === '' ? {} : JSON.parse(text)) as T
  } catch {
    throw new Refusal(400, 'invalid', 'the body is not JSON')
  }
}

function json(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}
