/**
 * Streams: an HTTP upgrade becomes a raw pipe to what listens inside. Playwright's WebSocket is not taken apart: the upgrade request is rewritten
 * (loopback Host, no Origin, our path, no compression) and after that bytes are bytes. CDP ends here: its clients share the browser's one pipe.
 */
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { WebSocket } from 'ws'
import type { CdpClient, CdpPipe } from './cdp-pipe.ts'
import { ClientFrames } from './client-frames.ts'
import { asRefusal, Refusal } from './problem.ts'
import type { RfbAddress } from './rfb-client.ts'
import type { SessionStatus, Status } from './session-status.ts'
import { readOrder, runTerminal, terminalPrograms } from './terminal.ts'
import { refuseOtherVersion } from './versions-match.ts'

/** What the session can be asked for now; null: it has no such thing, or not yet. */
export interface Targets {
  playwright(): { endpoint: string; version: string } | null
  cdp(): CdpPipe | null
  rfb(): RfbAddress | null
  /** Environment of the session's programs. */
  env(): Record<string, string>
  cdpClientGone(): Promise<void>
}

const connectTimeout = 5_000
const largestMessage = 256 * 2 ** 20
const largestBacklog = 256 * 2 ** 20

export async function serveUpgrade(
  targets: Targets,
  status: SessionStatus,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  client.on('error', () => {})
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://host')
    const port = /^\/ports\/(\d{1,5})$/.exec(pathname)
    if (pathname === '/playwright') await playwright(targets, status, request, client, head)
    else if (pathname === '/cdp') await cdp(targets, status, request, client, head)
    else if (pathname === '/vnc')
      await rawBytes(request, client, head, await dial(found(targets.rfb(), 'a screen'), 'the display'))
    else if (pathname === '/terminal') await terminal(searchParams, targets, status, request, client, head)
    else if (port) await portBytes(Number(port[1]), status, request, client, head)
    else throw new Refusal(404, 'not_found', 'there is no such stream')
  } catch (cause) {
    refuse(client, asRefusal(cause))
  }
}

async function playwright(
  targets: Targets,
  status: SessionStatus,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  const server = found(targets.playwright(), 'a Playwright server')
  refuseOtherVersion(request.headers['user-agent'], server.version)
  const eyes = new ClientFrames(() => status.active())
  await counted(status, 'playwright', () => spliced(new URL(server.endpoint), request, client, head, eyes))
}

async function cdp(
  targets: Targets,
  status: SessionStatus,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  const pipe = found(targets.cdp(), 'a browser')
  const socket = await accepted(request, client, head)
  const early: string[] = []
  let remote: CdpClient | null = null
  const ended = new Promise(resolve => socket.once('close', resolve))
  socket.on('error', () => {})
  socket.on('message', data => {
    status.active()
    if (remote) remote.receive(String(data))
    else early.push(String(data))
  })
  await counted(status, 'cdp', async () => {
    try {
      remote = await pipe.attach({
        send(text) {
          // Everybody hangs on one pipe: who does not read cannot be waited for.
          if (socket.bufferedAmount > largestBacklog) socket.terminate()
          else socket.send(text)
        },
        close: () => socket.close(1001, 'the browser is gone'),
      })
      for (const text of early) remote.receive(text)
      await ended
    } finally {
      socket.terminate()
      remote?.gone()
      await targets.cdpClientGone()
    }
  })
}

async function accepted(request: IncomingMessage, client: Duplex, head: Buffer): Promise<WebSocket> {
  const { WebSocketServer } = await import('ws')
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: largestMessage,
    skipUTF8Validation: true,
  })
  return await new Promise<WebSocket>((resolve, reject) => {
    client.once('close', () => reject(new Refusal(502, 'refused', 'the client left')))
    server.handleUpgrade(request, client, head, resolve)
  })
}

async function terminal(
  query: URLSearchParams,
  targets: Targets,
  status: SessionStatus,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  const order = readOrder(query)
  const programs = terminalPrograms(order.shell)
  const socket = await accepted(request, client, head)
  socket.pause()
  socket.on('error', () => {})
  await runTerminal(socket, order, programs, targets.env(), () => status.active())
}

async function portBytes(
  port: number,
  status: SessionStatus,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  if (port < 1 || port > 65_535) throw new Refusal(404, 'not_found', `${port} is not a port`)
  const target = await dial({ port }, `port ${port}`)
  client.on('data', () => status.active())
  await counted(status, 'ports', () => rawBytes(request, client, head, target))
}

async function counted(status: SessionStatus, stream: keyof Status['clients'], work: () => Promise<void>): Promise<void> {
  status.clients(stream, 1)
  try {
    await work()
  } finally {
    status.clients(stream, -1)
  }
}

function found<T>(target: T | null, what: string): T {
  if (target === null) throw new Refusal(503, 'not_ready', `the session has no ${what.replace(/^a /, '')}, or not yet`)
  return target
}

async function spliced(target: URL, request: IncomingMessage, client: Duplex, head: Buffer, eyes: ClientFrames): Promise<void> {
  const upstream = await dial({ port: Number(target.port) }, 'the browser')
  const passed = ['sec-websocket-key', 'sec-websocket-version', 'sec-websocket-protocol', 'user-agent']
  const headers = [
    ...['Connection: Upgrade', 'Upgrade: websocket', `Host: ${target.host}`],
    ...Object.entries(request.headers)
      .filter(([name]) => passed.includes(name) || name.startsWith('x-playwright-'))
      .map(([name, value]) => `${name}: ${String(value)}`),
  ]
  upstream.write(`GET ${target.pathname} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
  if (head.length > 0) eyes.write(head)
  await both(client, upstream, eyes)
}

async function rawBytes(request: IncomingMessage, client: Duplex, head: Buffer, target: Socket): Promise<void> {
  if (request.headers.upgrade?.toLowerCase() !== 'tcp') {
    target.destroy()
    throw new Refusal(426, 'upgrade_required', 'this stream wants "Upgrade: tcp"')
  }
  client.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n')
  if (head.length > 0) target.write(head)
  await both(client, target)
}

/** Until both directions have ended; an end of one leg is passed on, a broken leg breaks the other. */
async function both(client: Duplex, upstream: Socket, eyes?: ClientFrames): Promise<void> {
  const there = eyes ? pipeline(client, eyes, upstream) : pipeline(client, upstream)
  await Promise.allSettled([there, pipeline(upstream, client)])
}

async function dial(address: RfbAddress, what: string): Promise<Socket> {
  const hosts = 'socket' in address ? [null] : ['127.0.0.1', '::1']
  for (const host of hosts) {
    const socket = connect('socket' in address ? { path: address.socket } : { host: host!, port: address.port, noDelay: true })
    socket.on('error', () => {})
    const open = await new Promise<boolean>(resolve => {
      const timer = setTimeout(() => resolve(false), connectTimeout)
      const settle = (value: boolean) => () => {
        clearTimeout(timer)
        resolve(value)
      }
      socket.once('connect', settle(true))
      socket.once('error', settle(false))
    })
    if (open) return socket
    socket.destroy()
  }
  throw new Refusal(502, 'refused', `nothing answers on ${what}`)
}

function refuse(client: Duplex, refusal: Refusal): void {
  const body = refusal.body()
  const words: Record<number, string> = {
    404: 'Not Found',
    426: 'Upgrade Required',
    428: 'Precondition Required',
    502: 'Bad Gateway',
  }
  client.end(
    `HTTP/1.1 ${refusal.status} ${words[refusal.status] ?? 'Refused'}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  )
}
