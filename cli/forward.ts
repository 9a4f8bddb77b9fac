/**
 * Local TCP ports into a session: every connection is a WebSocket of its own, so one that stands still holds up no other, and one that is refused says
 * why. What is slow on one side slows the other: nothing is gathered here.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createWebSocketStream, WebSocket } from 'ws'
import { CommandError, type ForwardCommand, type PortPair } from './command.ts'

export interface ForwardOptions extends ForwardCommand {
  say(line: string): void
  signal: AbortSignal
}

const dialMs = 20_000

/** Listens until the signal; rejects with a CommandError when there is nothing to forward to or a port is taken. */
export async function forward(options: ForwardOptions): Promise<void> {
  const { say, signal, address } = options
  const id = await findSession(options)
  const servers: Server[] = []
  const connections = new Set<Socket>()
  try {
    for (const pair of options.ports) {
      const server = createServer({ pauseOnConnect: true, noDelay: true }, socket => {
        connections.add(socket)
        socket.once('close', () => connections.delete(socket))
        carry(socket, id, pair, options).catch(error => {
          if (!signal.aborted) say(`${pair.remote}: ${error.message}`)
        })
      })
      servers.push(server)
      await listen(server, pair.local, address)
      const { port } = server.address() as { port: number }
      say(`${address.includes(':') ? `[${address}]` : address}:${port} -> ${options.session} ${pair.remote}`)
    }
    if (!signal.aborted) await once(signal, 'abort')
  } finally {
    for (const server of servers) server.close()
    for (const socket of connections) socket.destroy()
  }
}

async function listen(server: Server, port: number, address: string): Promise<void> {
  server.listen(port, address)
  await once(server, 'listening').catch(error => {
    throw new CommandError(
      `Cannot listen on ${address} port ${port}: ${error.code === 'EADDRINUSE' ? 'it is in use' : error.message}.`,
    )
  })
}

async function findSession({ url, token, session, signal }: ForwardOptions): Promise<string> {
  const isId = /^ses_[0-9a-z]+$/.test(session)
  const path = isId ? `/v1/sessions/${session}` : `/v1/sessions?status=active&limit=2&name=${encodeURIComponent(session)}`
  const response = await fetch(url + path, { headers: { authorization: `Bearer ${token}` }, signal }).catch(error => {
    throw new CommandError(`${url} does not answer: ${error.cause?.code ?? error.cause?.message ?? error.message}`)
  })
  const body = (await response.json().catch(() => null)) as { data?: { id: string }[] } | null
  if (!body) throw new CommandError(`What answers at ${url} is no Porthole (${response.status}).`)
  if (!response.ok) throw new CommandError(sentence(response.status, body))
  if (isId) return session
  const [found, another] = body.data ?? []
  if (!found) throw new CommandError(`No living session is named ${JSON.stringify(session)}.`)
  if (another) throw new CommandError(`Several sessions are named ${JSON.stringify(session)}: take the id of one.`)
  return found.id
}

async function carry(socket: Socket, id: string, { remote }: PortPair, { url, token, signal }: ForwardOptions): Promise<void> {
  const path = `/v1/sessions/${id}/${remote === 'vnc' ? 'vnc' : `ports/${remote}`}`
  let ws: WebSocket
  try {
    ws = await dial(url.replace(/^http/, 'ws') + path, token)
  } catch (error) {
    socket.destroy()
    throw error
  }
  let end = ''
  ws.once('close', (code, reason) => {
    if (code > 1001 && !socket.destroyed) end = `closed with ${code} ${reason}`
  })
  // `ws` lets go of its stream's source while the sink is full, both ways.
  await pipeline(socket, createWebSocketStream(ws), socket, { signal }).catch(error => {
    // A program that closes its end, or breaks off, has done what it wanted.
    if (!['ERR_STREAM_PREMATURE_CLOSE', 'ECONNRESET', 'EPIPE'].includes(error.code)) throw error
  })
  if (end) throw new Error(end)
}

/** An open socket, still paused: what it says first is not lost. */
function dial(url: string, token: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` }
    const ws = new WebSocket(url, { headers, perMessageDeflate: false, handshakeTimeout: dialMs })
    ws.once('error', reject)
    ws.once('open', () => {
      ws.off('error', reject)
      ws.pause()
      resolve(ws)
    })
    ws.once('unexpected-response', (_request, response) => {
      json(response).then(
        body => reject(new Error(sentence(response.statusCode!, body))),
        () => reject(new Error(sentence(response.statusCode!, null))),
      )
    })
  })
}

function sentence(status: number, body: unknown): string {
  const problem = body as { title?: string; detail?: string } | null
  return problem?.detail ?? problem?.title ?? `the API answered ${status}`
}
