/** An agent made of nothing but the protocol: what it answers, and when, is the test's to say. */
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { agentAudience } from '#protocol/agent-identity.ts'
import {
  type AgentCapabilities,
  type AgentMessage,
  type ApiMessage,
  linkSubprotocol,
  type Open,
} from '#protocol/link-messages.ts'

type Of<T extends ApiMessage['type']> = Extract<ApiMessage, { type: T }>

export const capabilities: AgentCapabilities = {
  runtime: 'local',
  kinds: ['browser', 'desktop'],
  browsers: ['chromium'],
  features: ['display'],
  versions: {},
  notes: [],
  capacity: { sessions: 10, cpu_millis: null, memory_bytes: null },
}

export interface Closed {
  code: number
  reason: string
}

export class FakeAgent {
  readonly origin: string
  readonly id: string
  readonly cluster: string
  private readonly key: CryptoKey
  private constructor(origin: string, id: string, cluster: string, key: CryptoKey) {
    this.origin = origin
    this.id = id
    this.cluster = cluster
    this.key = key
  }

  static async enroll(origin: string, joinToken: string): Promise<FakeAgent> {
    const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
    const answer = await fetch(`${origin}/v1/agent/enroll`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ join_token: joinToken, public_key: await exportJWK(publicKey), agent_version: '0.0.0-fake' }),
    })
    if (answer.status !== 200) throw new Error(`enroll: ${answer.status} ${await answer.text()}`)
    const { agent, cluster } = (await answer.json()) as { agent: string; cluster: { id: string } }
    return new FakeAgent(origin, agent, cluster.id, privateKey)
  }

  /** `origin`: another replica of the same API. */
  at(origin: string): FakeAgent {
    return new FakeAgent(origin, this.id, this.cluster, this.key)
  }

  async jwt(change: { header?: object; claims?: Record<string, unknown>; key?: CryptoKey } = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const claims = { aud: agentAudience, iss: this.id, iat: now, exp: now + 60, ...change.claims }
    return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: this.id, ...change.header }).sign(change.key ?? this.key)
  }

  /** A link before `hello`. */
  async dial(): Promise<FakeLink> {
    const url = `${this.origin.replace(/^http/, 'ws')}/v1/agent/link`
    const ws = new WebSocket(url, linkSubprotocol, {
      headers: { authorization: `Bearer ${await this.jwt()}` },
      perMessageDeflate: false,
    })
    const link = new FakeLink(ws)
    await link.opened
    return link
  }

  /** A link with its epoch, after the first complete snapshot. */
  async link({ acknowledges = false } = {}): Promise<FakeLink> {
    const link = await this.dial()
    link.acknowledges = acknowledges
    link.hello()
    await link.next('welcome')
    await link.next('snapshot')
    return link
  }
}

export class FakeLink {
  readonly ws: WebSocket
  readonly opened: Promise<void>
  readonly closed: Promise<Closed>
  /** Everything that came and nobody has taken yet. */
  private readonly inbox: ApiMessage[] = []
  private readonly takers: { type: string; take: (message: ApiMessage) => void }[] = []
  private onOpen: ((open: Open) => void) | null = null
  /** Answers `ping` like a real one. */
  answersPings = true
  /** Acknowledges what it is sent like a real one: who does not gets everything again after a while. */
  acknowledges = false

  constructor(ws: WebSocket) {
    this.ws = ws
    this.opened = new Promise((opened, failed) => {
      ws.once('open', opened)
      ws.once('error', failed)
      ws.once('unexpected-response', (_, answer) => failed(new Error(`upgrade refused: ${answer.statusCode}`)))
    })
    this.closed = new Promise(closed => ws.once('close', (code, reason) => closed({ code, reason: reason.toString() })))
    ws.on('error', () => {})
    ws.on('message', data => this.came(JSON.parse(data.toString())))
  }

  send(message: AgentMessage | Record<string, unknown>): void {
    this.ws.send(JSON.stringify(message))
  }

  hello(change: Record<string, unknown> = {}): void {
    this.send({
      type: 'hello',
      agent_version: '0.0.0-fake',
      protocol: { min: 1, max: 1 },
      boot: 'boot',
      capabilities,
      resume: null,
      ...change,
    })
  }

  /** The oldest message of this type that was not taken yet. */
  next<T extends ApiMessage['type']>(type: T): Promise<Of<T>> {
    const at = this.inbox.findIndex(message => message.type === type)
    if (at >= 0) return Promise.resolve(this.inbox.splice(at, 1)[0] as Of<T>)
    return new Promise(take => this.takers.push({ type, take: take as (message: ApiMessage) => void }))
  }

  /** Takes every `open` from now on, also those that already came. */
  serve(onOpen: (open: Open) => void): void {
    this.onOpen = onOpen
    for (const message of this.inbox.splice(0)) this.came(message)
  }

  private came(message: ApiMessage): void {
    if (message.type === 'ping' && this.answersPings) this.send({ type: 'pong' })
    if (this.acknowledges && (message.type === 'delta' || message.type === 'snapshot'))
      this.send({ type: 'ack', seq: message.seq })
    if (message.type === 'open' && this.onOpen) {
      this.onOpen(message)
      return
    }
    const at = this.takers.findIndex(taker => taker.type === message.type)
    if (at >= 0) this.takers.splice(at, 1)[0]!.take(message)
    else this.inbox.push(message)
  }
}

/** Dials a stream's data socket; resolves once it is open, rejects with the status of a refusal. `listen` misses nothing that comes. */
export function dialData(open: Pick<Open, 'url' | 'key'>, listen: (ws: WebSocket) => void = () => {}): Promise<WebSocket> {
  const ws = new WebSocket(open.url, 'porthole.stream.v1', {
    headers: { authorization: `Bearer ${open.key}` },
    perMessageDeflate: false,
    maxPayload: 64 * 1024 * 1024,
    generateMask: mask => mask.fill(0),
  })
  ws.on('error', () => {})
  listen(ws)
  return new Promise((opened, failed) => {
    ws.once('open', () => opened(ws))
    ws.once('error', failed)
    ws.once('unexpected-response', (request, answer) => {
      answer.resume()
      request.destroy()
      failed(new Error(String(answer.statusCode)))
    })
  })
}

/** A data socket that says back whatever comes, with its type. */
export function echo(open: Open): Promise<WebSocket> {
  return dialData(open, ws => ws.on('message', (data, binary) => ws.send(data, { binary })))
}
