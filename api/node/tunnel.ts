/** The tunnel on Node: control links and streams in this process, other replicas through `Peers`. */
import { setTimeout as delay } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import type { Db } from '#db/client.ts'
import { type CloseWord, closeCodes } from '#protocol/close-codes.ts'
import { linkSubprotocol, maxDataMessage, maxLinkMessage, type StreamRole } from '#protocol/link-messages.ts'
import { unauthorized } from '../auth.ts'
import type { ApiConfig } from '../config.ts'
import type { Log, StreamGrant, Tunnel } from '../platform.ts'
import { notFound, Problem } from '../problem.ts'
import { sameDigest } from '../tokens/format.ts'
import { clustersOf, grantHome, joinGrant, unknownStreams } from '../tunnel/grants.ts'
import type { LinkAgent, StreamMessage } from '../tunnel/link-port.ts'
import type { LinkVerbs } from '../tunnel/link-verbs.ts'
import { clusterOffline, refusalProblem } from '../tunnel/refusal.ts'
import { rolesNow } from '../viewers/roles.ts'
import { exchangeFlow, type FlowEvents, relayFlow } from './flows.ts'
import { Links, type OpenHere } from './links.ts'
import type { PeerMessage, Peers } from './peers.ts'
import { hopHeader, splice } from './splice.ts'
import { Streams } from './streams.ts'
import { Upgrades } from './upgrades.ts'

export const streamSubprotocol = 'porthole.stream.v1'
const renewBatch = 2_000
const lookAgainMs = 250
/** How much of the wait for an agent's data socket may go by without a link to ask on. */
const shareForLink = 0.8

export interface TunnelEnv {
  db: Db
  replica: string
  peers: Peers
  config: ApiConfig
  verbs: LinkVerbs
  sha256(data: string): Uint8Array
  log: Log
  now(): number
}

export class NodeTunnel implements Tunnel {
  readonly home: string
  readonly upgrades = new Upgrades()
  readonly links: Links
  readonly streams: Streams
  private readonly env: TunnelEnv

  constructor(env: TunnelEnv) {
    this.env = env
    this.home = env.replica
    this.streams = new Streams(env)
    this.links = new Links({
      ...env,
      streams: (cluster, message) => this.aboutStreams(cluster, message),
      live: cluster => this.defer(this.renew(cluster)),
    })
  }

  async nudge(cluster: string, urgent = true): Promise<void> {
    if (this.links.has(cluster)) this.links.nudge(cluster, urgent)
    else await this.env.peers.notifyNudge(cluster)
  }

  async acceptLink(request: Request, agent: LinkAgent): Promise<Response> {
    const upgrade = this.upgrades.of(request)
    const dialled = this.dialledBy(request)
    return upgrade.accept({
      protocol: linkSubprotocol,
      maxPayload: maxLinkMessage,
      opened: socket => this.links.accept(socket, agent, dialled),
      dropped() {},
    })
  }

  async acceptData(request: Request, stream: string, key: string): Promise<Response> {
    const upgrade = this.upgrades.of(request)
    const hash = this.env.sha256(key)
    const waiter = this.streams.waiter(stream)
    if (!waiter) {
      const home = await grantHome(this.env.db, stream, hash)
      if (!home) throw unauthorized()
      if (home.replica === this.home || !home.url || request.headers.has(hopHeader)) throw notFound('stream')
      return splice(upgrade, home.url, this.env.log)
    }
    if (!sameDigest(hash, this.env.sha256(waiter.grant.key))) throw unauthorized()
    waiter.claimed = true
    let joined = false
    try {
      joined = await joinGrant(this.env.db, stream, hash)
    } finally {
      waiter.claimed = joined
    }
    if (!joined) throw unauthorized()
    return upgrade.accept({
      protocol: streamSubprotocol,
      maxPayload: maxDataMessage,
      opened: socket => {
        socket.pause()
        if (!waiter.arrived(socket)) this.letGo(waiter.grant, socket)
      },
      dropped: () => waiter.failed(new Problem('target_refused', 'The agent left before the stream was open.')),
    })
  }

  async openViewer(request: Request, grant: StreamGrant, protocol: string | null): Promise<Response> {
    const upgrade = this.upgrades.of(request)
    const agent = await this.meet(grant, upgrade.gone)
    return upgrade.accept({
      protocol,
      maxPayload: maxDataMessage,
      opened: viewer => {
        this.streams.flow(relayFlow(grant, viewer, agent, this.eventsOf(grant)))
        // Control may have been handed over while the two were meeting.
        if (grant.kind === 'vnc') this.defer(this.recheckHere([grant.id]))
      },
      dropped: () => this.letGo(grant, agent),
    })
  }

  async openHttp(grant: StreamGrant, body: ReadableStream<Uint8Array> | null, signal: AbortSignal): Promise<Response> {
    const agent = await this.meet(grant, signal)
    const { flow, response } = exchangeFlow(grant, agent, body, signal, this.eventsOf(grant))
    this.streams.flow(flow)
    return response
  }

  async recheck(streams: string[]): Promise<void> {
    await this.recheckHere(streams)
    await this.env.peers.recheck(streams)
  }

  /** Tells agents which of our screens may now do more or less than they were told last; all of them when none are named. */
  async recheckHere(streams?: string[]): Promise<void> {
    const ours = new Map<string, StreamGrant>()
    for (const { grant } of this.streams.flows())
      if (grant.kind === 'vnc' && (streams?.includes(grant.id) ?? true)) ours.set(grant.id, grant)
    for (const { id, role } of await rolesNow(this.env.db, [...ours.keys()])) {
      const grant = ours.get(id)
      if (!grant || grant.role === role) continue
      const { role: before } = grant
      grant.role = role
      const told = await this.tell(grant.cluster, {
        type: 'renew',
        streams: [{ stream: id, remaining_ms: grant.remainingMs, role }],
      })
      // Nobody holds the link now: the next look tries again.
      if (!told) grant.role = before
    }
  }

  async end(streams: string[], word: CloseWord, reason?: string): Promise<void> {
    const elsewhere = streams.filter(stream => !this.streams.end(stream, word, reason))
    if (elsewhere.length === 0) return
    const unreached = await this.env.peers.end(elsewhere, word, reason)
    // Their replica does not answer: the agents end their legs, which ends the viewers' too.
    for (const { id, cluster } of await clustersOf(this.env.db, unreached)) {
      await this.tell(cluster, { type: 'close', stream: id, code: closeCodes[word], reason: reason ?? word })
    }
  }

  /** What another replica asks of this one; false when it is not here. */
  async fromPeer(message: PeerMessage): Promise<boolean> {
    switch (message.do) {
      case 'open':
        return this.links.open(message.cluster, message.open)
      case 'send':
        return message.messages.every(sent => this.links.send(message.cluster, sent))
      case 'refused':
        return this.streams.refused(message.stream, refusalProblem(message))
      case 'recheck':
        await this.recheckHere(message.streams)
        return true
      case 'end':
        for (const stream of message.streams) this.streams.end(stream, message.word, message.reason)
        return true
    }
  }

  /** Extends the agents' leave to carry what still flows; of one cluster or all. */
  async renew(only?: string): Promise<void> {
    const byCluster = new Map<string, { stream: string; remaining_ms: number; role?: StreamRole }[]>()
    for (const { grant } of this.streams.flows()) {
      if (only !== undefined && grant.cluster !== only) continue
      const list = byCluster.get(grant.cluster) ?? []
      byCluster.set(grant.cluster, list)
      const remaining_ms = Math.max(1, Math.floor(Math.min(grant.remainingMs, this.streams.leftOf(grant.id))))
      list.push({ stream: grant.id, remaining_ms, ...(grant.kind === 'vnc' ? { role: grant.role } : {}) })
    }
    for (const [cluster, streams] of byCluster) {
      for (let at = 0; at < streams.length; at += renewBatch) {
        await this.tell(cluster, { type: 'renew', streams: streams.slice(at, at + renewBatch) })
      }
    }
  }

  private async meet(grant: StreamGrant, signal: AbortSignal): Promise<WebSocket> {
    const open: OpenHere = {
      stream: grant.id,
      key: grant.key,
      kind: grant.kind,
      role: grant.role,
      session: grant.session,
      target: grant.target,
      clipboard: grant.clipboard,
      deadline_ms: this.env.config.meetingMs,
      remaining_ms: grant.remainingMs,
    }
    return this.streams.meet(grant, {
      ms: this.env.config.meetingMs,
      signal,
      ask: () => this.ask(grant.cluster, open, signal),
      cancel: word => this.defer(this.tell(grant.cluster, { type: 'close', stream: grant.id, code: 1001, reason: word })),
    })
  }

  /** An agent that counts as online but has no link is dialling again: after a replica's death it is back within seconds. */
  private async ask(cluster: string, open: OpenHere, signal: AbortSignal): Promise<void> {
    for (let tries = (this.env.config.meetingMs * shareForLink) / lookAgainMs; ; tries--) {
      if (this.links.open(cluster, open) || (await this.env.peers.open(cluster, open))) return
      if (tries <= 1) throw clusterOffline()
      await delay(lookAgainMs, undefined, { signal })
    }
  }

  private async tell(cluster: string, message: Parameters<Links['send']>[1]): Promise<boolean> {
    return this.links.send(cluster, message) || (await this.env.peers.send(cluster, [message]))
  }

  private aboutStreams(cluster: string, message: StreamMessage): void {
    if (message.type === 'closed') {
      const { stream, code, reason, bytes_in, bytes_out } = message
      this.env.log.info('stream_closed_by_agent', { cluster, stream, code, reason, bytes_in, bytes_out })
    } else if (message.type === 'refused') {
      if (!this.streams.refused(message.stream, refusalProblem(message))) this.defer(this.env.peers.refused(message))
    } else this.defer(this.closeUnknown(cluster, message.streams))
  }

  private async closeUnknown(cluster: string, carried: string[]): Promise<void> {
    for (const stream of await unknownStreams(this.env.db, cluster, carried)) {
      this.links.send(cluster, { type: 'close', stream, code: 4404, reason: 'unknown_stream' })
    }
  }

  private eventsOf(grant: StreamGrant): FlowEvents {
    return {
      now: this.env.now,
      ended: ({ code, reason, bytesIn, bytesOut }) => {
        this.streams.over(grant.id, code, { reason, bytesIn, bytesOut })
        const { id: stream, cluster, session, kind } = grant
        this.env.log.info('stream_closed', {
          stream,
          cluster,
          session,
          kind,
          code,
          reason,
          bytes_in: bytesIn,
          bytes_out: bytesOut,
        })
      },
      gone: () => this.streams.gone(grant.id),
    }
  }

  private letGo(grant: StreamGrant, agent: WebSocket): void {
    agent.resume()
    agent.close(1001, 'going_away')
    this.streams.over(grant.id, 1001)
  }

  /** Where this agent reaches us. Behind a proxy that ends TLS the request says http; the agent's own Host header is right. */
  private dialledBy(request: Request): string {
    const url = new URL(request.url)
    const known = this.env.config.publicUrl && new URL(this.env.config.publicUrl)
    const secure =
      known && known.host === url.host
        ? known.protocol === 'https:'
        : url.protocol === 'https:' || /^https\b/.test(request.headers.get('x-forwarded-proto') ?? '')
    return `${secure ? 'wss' : 'ws'}://${url.host}`
  }

  private defer(work: Promise<unknown>): void {
    work.catch(error => this.env.log.warn('tunnel_step_failed', { message: String(error) }))
  }
}
