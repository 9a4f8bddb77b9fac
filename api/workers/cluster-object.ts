/**
 * One cluster: holds its agent's control link. It sleeps between messages (hibernation: nothing is billed for an idle agent's socket, pings are
 * answered without waking it) and looks around by alarm: marks the link seen, finds what nudges lost, renews the streams that may go on and
 * ends those that may not. Postgres stays the truth: whatever is in memory here may be lost at any moment.
 */
import { DurableObject } from 'cloudflare:workers'
import { type CloseWord, closeCodes, passableClose } from '#protocol/close-codes.ts'
import { type ApiMessage, linkSubprotocol, linkTiming, type Open } from '#protocol/link-messages.ts'
import { isConnectionLoss } from '../app.ts'
import type { Log } from '../platform.ts'
import { grantMs } from '../streams/grant.ts'
import { closeGrants, closeUncarriedGrants, openGrants, unknownStreams } from '../tunnel/grants.ts'
import { ControlLink, type LinkMemory } from '../tunnel/link.ts'
import type { LinkAgent, LinkDeps, StreamMessage } from '../tunnel/link-port.ts'
import { beatLink, linkStore } from '../tunnel/link-store.ts'
import { linkVerbs } from '../tunnel/link-verbs.ts'
import { rolesNow } from '../viewers/roles.ts'
import { type Bindings, edgeReplica, readBindings } from './bindings.ts'
import { LentDatabase } from './lent-database.ts'
import { HibernatingSocket } from './link-socket.ts'
import { edgeLog } from './log.ts'
import type { Refusal } from './stream-object.ts'

/** Between two looks around: must be well below `linkTiming.offline`, and with streams within the promise for revocation (15 s). */
const lookMs = { idle: 20_000, streaming: 10_000 }
/** An agent that was told to end a stream has done so within this, or the stream is cut. */
const endPatienceMs = 3_000
const renewBatch = 2_000

export type OpenHere = Omit<Open, 'type' | 'url'>
/** Set by the tunnel; no request from outside reaches an object. */
export const linkHeader = 'x-porthole-link'

/** What a socket carries through a sleep. */
interface Attached {
  agent: LinkAgent
  /** How the agent reached us (`wss://host`), and so how it will reach us for streams. */
  dialled: string
  memory: LinkMemory | null
}
interface Held {
  link: ControlLink
  socket: HibernatingSocket
  dialled: string
}

export class ClusterObject extends DurableObject<Bindings> {
  private readonly held = new Map<WebSocket, Held>()
  private readonly database: LentDatabase
  private readonly log: Log
  private readonly deps: LinkDeps
  /** Streams whose end the agent was asked for, and when to stop waiting for it. */
  private readonly ending = new Map<string, { at: number; code: number }>()

  constructor(ctx: DurableObjectState, env: Bindings) {
    super(ctx, env)
    const config = readBindings(env)
    this.log = edgeLog
    this.database = new LentDatabase(env.HYPERDRIVE.connectionString)
    const { use } = this.database
    const verbs = linkVerbs({
      use,
      origin: () => config.publicUrl ?? '',
      settled: () => this.defer(this.keeper.roomCame()),
      config,
      log: this.log,
    })
    const store = <T>(work: (store: LinkDeps['store']) => Promise<T>) =>
      use(db => work(linkStore(db, edgeReplica, verbs.clusterView)))
    this.deps = {
      now: Date.now,
      store: {
        begin: (agent, facts) => store(at => at.begin(agent, facts)),
        end: (cluster, epoch) => store(at => at.end(cluster, epoch)),
        state: cluster => store(at => at.state(cluster)),
      },
      ...verbs,
      streams: (cluster, message) => this.defer(this.aboutStreams(cluster, message)),
      passing: isConnectionLoss,
      pause: ms => new Promise(resolve => setTimeout(resolve, ms)),
      log: this.log,
    }
    const [ping, pong] = ['ping', 'pong'].map(type => JSON.stringify({ type })) as [string, string]
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(ping, pong))
    for (const ws of ctx.getWebSockets()) this.hold(ws, ws.deserializeAttachment() as Attached)
  }

  override async fetch(request: Request): Promise<Response> {
    const attached = { ...(JSON.parse(request.headers.get(linkHeader)!) as Omit<Attached, 'memory'>), memory: null }
    const [far, near] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket]
    this.ctx.acceptWebSocket(near)
    this.hold(near, attached)
    this.remember(near)
    await this.lookWithin(linkTiming.handshake + 100)
    return new Response(null, { status: 101, webSocket: far, headers: { 'sec-websocket-protocol': linkSubprotocol } })
  }

  override async webSocketMessage(ws: WebSocket, message: string | ArrayBuffer): Promise<void> {
    const held = this.held.get(ws)
    if (!held) return
    if (typeof message === 'string') await held.socket.deliver(message)
    else held.socket.close(closeCodes.protocol, 'protocol: text only')
    this.remember(ws)
  }

  override async webSocketClose(ws: WebSocket, code: number, reason: string): Promise<void> {
    const held = this.held.get(ws)
    const passed = passableClose(code, reason)
    try {
      ws.close(passed.code, passed.reason)
    } catch {
      // Answered already.
    }
    held?.socket.gone(code, reason)
  }

  override async webSocketError(ws: WebSocket): Promise<void> {
    this.held.get(ws)?.socket.gone(1006, 'connection lost')
  }

  /** Desired state may have changed, or whose link counts. */
  async nudge(): Promise<void> {
    this.live?.link.nudge()
  }

  /** False: this cluster has no link. */
  async open(open: OpenHere): Promise<boolean> {
    const live = this.live
    if (!live) return false
    void live.link.send({ type: 'open', url: `${live.dialled}/v1/agent/streams/${open.stream}`, ...open })
    await this.lookWithin(lookMs.streaming)
    return true
  }

  /** The agent closes its end with the code, which the viewer then sees; what it does not end in time is cut. */
  async end(streams: string[], word: CloseWord, reason: string = word): Promise<void> {
    const code = closeCodes[word]
    const refusal: Refusal = {
      status: word === 'token_ended' || word === 'revoked' ? 401 : 502,
      code: word === 'token_ended' || word === 'revoked' ? 'unauthorized' : 'target_refused',
      detail: reason,
    }
    const { link } = this.live ?? {}
    for (const stream of streams) {
      if (this.ending.has(stream)) continue
      if (link) void link.send({ type: 'close', stream, code, reason: passableClose(code, reason).reason })
      this.ending.set(stream, { at: Date.now() + (link ? endPatienceMs : 0), code })
      this.defer(this.stream(stream).refuse(refusal))
    }
    await this.lookWithin(link ? endPatienceMs : 0)
  }

  /** What the viewers of these screens may do has changed. */
  async recheck(streams: string[]): Promise<void> {
    const { link } = this.live ?? {}
    if (link) await this.renew(link, streams)
  }

  /** A viewer that no longer waits: the agent need not go on. */
  async cancel(stream: string, word: CloseWord): Promise<void> {
    void this.live?.link.send({ type: 'close', stream, code: closeCodes.going_away, reason: word })
  }

  override async alarm(): Promise<void> {
    const live = this.live
    for (const [ws, { link }] of this.held) {
      link.heard(this.ctx.getWebSocketAutoResponseTimestamp(ws)?.getTime() ?? 0)
      link.tick()
    }
    const streaming = await this.database
      .use(async () => {
        if (live) await this.look(live)
        return this.lookAtStreams(live)
      })
      .catch(error => {
        this.log.warn('look_failed', { cluster: this.cluster, message: String(error) })
        return true
      })
    for (const ws of this.held.keys()) this.remember(ws)
    if (this.held.size > 0 || streaming || this.ending.size > 0) await this.lookWithin(streaming ? lookMs.streaming : lookMs.idle)
  }

  private get cluster(): string {
    return this.ctx.id.name!
  }

  /** The newest live link: the one that counts. */
  private get live(): Held | null {
    let newest: Held | null = null
    for (const held of this.held.values()) if (held.link.live && held.link.epoch > (newest?.link.epoch ?? 0)) newest = held
    return newest
  }

  private get keeper() {
    return this.env.KEEPER.get(this.env.KEEPER.idFromName('keeper'))
  }

  private stream(id: string) {
    return this.env.STREAMS.get(this.env.STREAMS.idFromName(id))
  }

  private hold(ws: WebSocket, { agent, dialled, memory }: Attached): void {
    const socket = new HibernatingSocket(ws)
    const link = new ControlLink(
      socket,
      agent,
      this.deps,
      {
        live: granted => this.granted(granted),
        ended: (over, code, reason) => this.ended(ws, over, code, reason),
        rested: () => this.remember(ws),
      },
      memory ?? undefined,
    )
    this.held.set(ws, { link, socket, dialled })
  }

  private remember(ws: WebSocket): void {
    const held = this.held.get(ws)
    if (!held) return
    try {
      ws.serializeAttachment({ agent: held.link.agent, dialled: held.dialled, memory: held.link.memory } satisfies Attached)
    } catch {
      // Closing.
    }
  }

  private granted(link: ControlLink): void {
    const { cluster, id } = link.agent
    for (const { link: other } of this.held.values())
      if (other !== link && other.epoch < link.epoch && other.live) other.close('superseded')
    this.log.info('link_open', { cluster, agent: id, epoch: link.epoch })
    this.defer(this.lookAgain())
  }

  private ended(ws: WebSocket, link: ControlLink, code: number, reason: string): void {
    const { cluster, id } = link.agent
    this.held.delete(ws)
    this.log.info('link_closed', { cluster, agent: id, epoch: link.epoch, code, reason })
    if (link.epoch > 0) this.defer(this.deps.store.end(cluster, link.epoch))
  }

  /** What the cluster's row says, and that the link was heard of. */
  private async look({ link }: Held): Promise<void> {
    const { cluster } = link.agent
    const heard = Date.now() - (link.memory?.heardAt ?? 0) < linkTiming.offline
    link.look(await this.database.use(db => beatLink(db, edgeReplica, { cluster, epoch: link.epoch, heard })))
  }

  /** True while there are open streams. */
  private async lookAtStreams(live: Held | null): Promise<boolean> {
    const open = await this.database.use(db => openGrants(db, this.cluster))
    for (const { id, word } of open) if (word) await this.end([id], word)
    await this.cutOverdue()
    const renewed = open.filter(({ word, joined }) => joined && !word).map(({ id }) => id)
    if (live && renewed.length > 0) await this.renew(live.link, renewed)
    // An agent goes on for `grantMs` after the last renewal: what then still seems open is a socket nobody is behind.
    const lostAt = await this.lostAt(live !== null)
    if (lostAt !== null && Date.now() - lostAt > grantMs + lookMs.idle) {
      for (const { id } of open) this.ending.set(id, { at: 0, code: closeCodes.timeout })
      await this.cutOverdue()
    }
    return open.length > 0
  }

  private async lostAt(linked: boolean): Promise<number | null> {
    const known = await this.ctx.storage.get<number>('lostAt')
    if (linked) {
      if (known !== undefined) await this.ctx.storage.delete('lostAt')
      return null
    }
    if (known !== undefined) return known
    await this.ctx.storage.put('lostAt', Date.now())
    return Date.now()
  }

  private async renew(link: ControlLink, streams: string[]): Promise<void> {
    const roles = new Map((await this.database.use(db => rolesNow(db, streams))).map(({ id, role }) => [id, role]))
    const renewed = streams.map(stream => {
      const role = roles.get(stream)
      return { stream, remaining_ms: grantMs, ...(role ? { role } : {}) }
    })
    for (let at = 0; at < renewed.length; at += renewBatch) {
      void link.send({ type: 'renew', streams: renewed.slice(at, at + renewBatch) } satisfies ApiMessage)
    }
  }

  private async cutOverdue(): Promise<void> {
    const now = Date.now()
    const late = [...this.ending].filter(([, { at }]) => at <= now)
    if (late.length === 0) return
    for (const [id] of late) {
      this.ending.delete(id)
      // The answer to an abort is its error.
      await this.stream(id)
        .cut()
        .catch(() => {})
    }
    await this.database.use(db =>
      closeGrants(
        db,
        late.map(([id, { code }]) => ({ id, code })),
      ),
    )
  }

  private async aboutStreams(cluster: string, message: StreamMessage): Promise<void> {
    if (message.type === 'closed') {
      const { stream, code, reason, bytes_in, bytes_out } = message
      this.log.info('stream_closed', { cluster, stream, code, reason, bytes_in, bytes_out })
      this.ending.delete(stream)
      await this.database.use(db => closeGrants(db, [{ id: stream, code, reason, bytesIn: bytes_in, bytesOut: bytes_out }]))
    } else if (message.type === 'refused') {
      const { status, code, detail } = message
      await this.stream(message.stream).refuse({ status, code: code as Refusal['code'], detail })
    } else {
      await this.database.use(async db => {
        await closeUncarriedGrants(db, cluster, message.streams)
        for (const stream of await unknownStreams(db, cluster, message.streams)) {
          void this.live?.link.send({ type: 'close', stream, code: closeCodes.unknown_stream, reason: 'unknown_stream' })
        }
      })
    }
  }

  private async lookAgain(): Promise<void> {
    await this.ctx.storage.delete('lostAt')
    await this.lookWithin(0)
  }

  /** Alarms are one to an object: the earliest wish counts. */
  private async lookWithin(ms: number): Promise<void> {
    const wanted = Date.now() + ms
    const set = await this.ctx.storage.getAlarm()
    if (set === null || set > wanted) await this.ctx.storage.setAlarm(wanted)
  }

  private defer(work: Promise<unknown>): void {
    this.ctx.waitUntil(
      work.catch(error => this.log.warn('cluster_step_failed', { cluster: this.cluster, message: String(error) })),
    )
  }
}
