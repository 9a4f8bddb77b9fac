/**
 * A small API that speaks the wire for real (HTTP + WebSockets on a port of its own) and does only what a test says: it enrols agents, checks
 * their JWTs, gives out epochs, keeps a list of wanted sessions, and pairs nothing by itself: data sockets are handed to the test.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { importJWK, type JWK, jwtVerify } from 'jose'
import { type WebSocket, WebSocketServer } from 'ws'
import { agentAudience, EnrollRequest } from '#protocol/agent-identity.ts'
import { AgentMessage, type ApiMessage, linkSubprotocol, type Open, parseLinkMessage } from '#protocol/link-messages.ts'
import type { DesiredSession, ObservedSession } from '#protocol/session-spec.ts'
import { anOpen } from './session-fixtures.ts'

type Said<T extends AgentMessage['type']> = Extract<AgentMessage, { type: T }>

export class ApiDouble {
  readonly joinTokens = new Set<string>(['join-1'])
  readonly desired = new Map<string, DesiredSession>()
  /** What the agents have reported, by session. */
  readonly observed = new Map<string, ObservedSession>()
  readonly heard: AgentMessage[] = []
  /** Upgrades are answered with this status instead, when set. */
  refuseUpgrades: number | null = null
  /** Link messages from the agent are swallowed and nothing is sent: a live TCP connection with nobody behind. */
  deaf = false
  /** Data sockets are handed over paused. */
  holdData = true
  /** Told to the agent as `welcome.epoch`; rises with each link. */
  epoch = 0
  seq = 0
  link: WebSocket | null = null
  linkCount = 0
  origin = ''
  private readonly key = new Map<string, JWK>()
  private readonly server: Server
  private readonly sockets = new Set<Socket>()
  private readonly upgrader = new WebSocketServer({ noServer: true, maxPayload: 32 * 1024 * 1024, closeTimeout: 500 } as object)
  private readonly waiters = new Set<() => void>()
  private readonly data = new Map<string, WebSocket>()
  private streams = 0

  private constructor(server: Server) {
    this.server = server
    server.on('connection', socket => {
      this.sockets.add(socket)
      socket.on('close', () => this.sockets.delete(socket))
    })
    server.on('request', (request, response) => {
      void this.answer(request).then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      })
    })
    server.on('upgrade', (request, socket: Socket, head) => {
      socket.on('error', () => {})
      void this.upgrade(request, socket, head)
    })
  }

  static async start(port = 0): Promise<ApiDouble> {
    const server = createServer()
    const api = new ApiDouble(server)
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
    api.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return api
  }

  /** As if killed: every connection is cut without goodbye. */
  async kill(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise<void>(resolve => this.server.close(() => resolve()))
  }

  send(message: ApiMessage): void {
    this.link?.send(JSON.stringify(message))
  }

  /** Resolves once the agent has dealt with everything sent before. */
  async pinged(): Promise<void> {
    const pongs = () => this.heard.filter(message => message.type === 'pong').length
    const before = pongs()
    this.send({ type: 'ping' })
    await this.until(() => pongs() > before)
  }

  /** Changes what is wanted and says so, as a delta. */
  want(...items: DesiredSession[]): void {
    for (const item of items) this.desired.set(item.id, item)
    this.send({ type: 'delta', seq: ++this.seq, items })
  }

  snapshot(): void {
    const items = [...this.desired.values()]
    const half = Math.ceil(items.length / 2)
    this.send({ type: 'snapshot', seq: this.seq, items: items.slice(0, half), complete: false })
    this.send({ type: 'snapshot', seq: this.seq, items: items.slice(half), complete: true })
  }

  /** Asks for a stream; `socket` is the agent's data socket, or the refusal. */
  async open(
    overrides: Partial<Open> = {},
  ): Promise<{ stream: string; socket: WebSocket } | { stream: string; refused: Said<'refused'> }> {
    const stream = overrides.stream ?? `str_${++this.streams}`
    this.send(anOpen({ stream, url: this.dataUrl(stream), key: `key-${stream}`, ...overrides }))
    return await this.until(() => {
      const socket = this.data.get(stream)
      if (socket) return { stream, socket }
      const refused = this.heard.find(message => message.type === 'refused' && message.stream === stream)
      return refused ? { stream, refused: refused as Said<'refused'> } : undefined
    })
  }

  /** The address of a stream's data socket, for an `open` that does not come over the link. */
  dataUrl(stream: string): string {
    return `${this.origin.replace('http', 'ws')}/v1/agent/streams/${stream}`
  }

  /** The agent's data socket of a stream, once it is there; still paused. */
  dataSocket(stream: string): Promise<WebSocket> {
    return this.until(() => this.data.get(stream))
  }

  async opened(overrides: Partial<Open> = {}): Promise<{ stream: string; socket: WebSocket }> {
    const answer = await this.open(overrides)
    if ('refused' in answer) throw new Error(`refused: ${JSON.stringify(answer.refused)}`)
    return answer
  }

  async closed(stream: string): Promise<Said<'closed'>> {
    return this.until(
      () => this.heard.find(message => message.type === 'closed' && message.stream === stream) as Said<'closed'> | undefined,
    )
  }

  /** Resolves with the first answer of `look` that is something, asked anew after each event. */
  until<T>(look: () => T | undefined | false | null, ms = 20_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = look()
        if (!found) return
        clearTimeout(timer)
        this.waiters.delete(check)
        resolve(found)
      }
      const timer = setTimeout(() => {
        this.waiters.delete(check)
        const last = JSON.stringify(this.heard.slice(-5))
        reject(new Error(`did not come: ${look}; last heard ${last}`))
      }, ms)
      this.waiters.add(check)
      check()
    })
  }

  phase(session: string, phase: ObservedSession['phase'], generation?: number): Promise<ObservedSession> {
    return this.until(() => {
      const item = this.observed.get(session)
      return item?.phase === phase && (generation === undefined || item.generation === generation) ? item : undefined
    })
  }

  private async answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    if (request.method !== 'POST' || request.url !== '/v1/agent/enroll') return { status: 404, body: { title: 'not found' } }
    let text = ''
    for await (const chunk of request) text += chunk
    const enroll = EnrollRequest.parse(JSON.parse(text))
    // The same key again is the same agent asking again for an answer it lost.
    const known = [...this.key].find(([, jwk]) => jwk.x === enroll.public_key.x)?.[0]
    if (!known && !this.joinTokens.delete(enroll.join_token)) return { status: 401, body: { detail: 'unknown join token' } }
    const agent = known ?? `agt_${this.key.size + 1}`
    this.key.set(agent, enroll.public_key)
    return { status: 201, body: { agent, cluster: { id: 'clu_1', name: 'test' } } }
  }

  private async upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const refuse = (status: number, detail: string) => {
      const body = JSON.stringify({ detail })
      socket.end(
        `HTTP/1.1 ${status} No\r\ndate: ${new Date().toUTCString()}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
      )
    }
    if (this.refuseUpgrades !== null) return refuse(this.refuseUpgrades, 'not now')
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    if (request.url === '/v1/agent/link') {
      try {
        await jwtVerify(token, async header => importJWK(this.key.get(header.kid ?? '')!, 'EdDSA'), {
          audience: agentAudience,
          maxTokenAge: '60s',
        })
      } catch {
        return refuse(401, 'unknown agent')
      }
      if (request.headers['sec-websocket-protocol'] !== linkSubprotocol) return refuse(400, 'subprotocol')
      this.upgrader.handleUpgrade(request, socket, head, ws => this.takeLink(ws))
      return
    }
    const stream = request.url?.match(/^\/v1\/agent\/streams\/([\w-]+)$/)?.[1]
    if (!stream || token !== `key-${stream}`) return refuse(404, 'no such stream')
    this.upgrader.handleUpgrade(request, socket, head, ws => {
      // The test attaches its listeners later: nothing may be lost until then.
      if (this.holdData) ws.pause()
      ws.on('error', () => {})
      this.data.set(stream, ws)
      ws.on('close', () => this.data.delete(stream))
      this.notify()
    })
  }

  private takeLink(ws: WebSocket): void {
    this.link?.close(4409, 'superseded')
    this.link = ws
    this.linkCount++
    ws.on('error', () => {})
    ws.on('close', () => {
      if (this.link === ws) this.link = null
      this.notify()
    })
    ws.on('message', data => {
      if (this.deaf) return
      const parsed = parseLinkMessage(AgentMessage, data.toString())
      if (!('message' in parsed)) throw new Error(`the agent sent nonsense: ${JSON.stringify(parsed)}`)
      this.handle(parsed.message, ws)
      this.notify()
    })
  }

  private handle(message: AgentMessage, ws: WebSocket): void {
    this.heard.push(message)
    const reply = (answer: ApiMessage) => ws.send(JSON.stringify(answer))
    if (message.type === 'hello') {
      reply({ type: 'welcome', epoch: ++this.epoch, cluster: { id: 'clu_1', name: 'test' }, protocol: 1 })
      this.snapshot()
    } else if (message.type === 'ping') {
      reply({ type: 'pong' })
    } else if (message.type === 'report') {
      if (message.complete) this.observed.clear()
      for (const item of message.items) this.observed.set(item.id, item)
      reply({ type: 'report_ack', seq: message.seq })
    }
  }

  private notify(): void {
    for (const check of [...this.waiters]) check()
  }
}

export interface Heard {
  messages: (Buffer | string)[]
  bytes: () => Buffer
  /** Resolves once `look` is true, asked anew after each message; rejects when the socket closes first. */
  until: (look: () => boolean) => Promise<void>
  closed: Promise<{ code: number; reason: string }>
}

/** Everything a data socket says from now on, text and binary. */
export function listen(socket: WebSocket): Heard {
  const messages: (Buffer | string)[] = []
  socket.on('message', (data: Buffer, binary) => messages.push(binary ? data : data.toString()))
  const closed = new Promise<{ code: number; reason: string }>(resolve => {
    socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() }))
  })
  const until = (look: () => boolean) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!look()) return
        socket.off('message', check)
        resolve()
      }
      socket.on('message', check)
      void closed.then(end => reject(new Error(`closed first: ${end.code} ${end.reason}`)))
      check()
    })
  if (socket.isPaused) socket.resume()
  return { messages, bytes: () => Buffer.concat(messages.filter(message => typeof message !== 'string')), until, closed }
}
