/**
 * The API's end of one agent's control link, as agent/protocol/PROTOCOL.md says. It owns no timer and no socket: its holder calls
 * `tick` about once a second and `look` with what the cluster's row says every 2 s. A nudge only makes it look earlier.
 *
 *   greeting --hello--> granting --epoch--> live --> ended        (every arrow to `ended` is the socket's close)
 */

import type { z } from 'zod'
import { type CloseWord, closeCodes, passableClose } from '#protocol/close-codes.ts'
import {
  AgentMessage,
  type ApiMessage,
  type Hello,
  linkTiming,
  maxLinkMessage,
  parseLinkMessage,
  protocolVersion,
  type Report,
} from '#protocol/link-messages.ts'
import { DesiredFeed, type FeedMemory } from './desired-feed.ts'
import type { ClusterState, DesiredPage, LinkAgent, LinkDeps, LinkHolder, LinkSocket } from './link-port.ts'

/** A peer that takes nothing for this long is stalled, whatever it says. */
const unsentLimit = 60_000

/** What a link must not forget while its holder sleeps (Workers). Times are `deps.now()`'s. */
export interface LinkMemory {
  epoch: number
  heardAt: number
  pingAt: number
  /** null: unknown what was sent; all of it is sent again. */
  feed: FeedMemory | null
}

export interface LinkEvents {
  live(link: ControlLink): void
  ended(link: ControlLink, code: number, reason: string): void
  /** `memory` is worth keeping now: what was to be sent has been. */
  rested?(link: ControlLink): void
}

export class ControlLink {
  readonly agent: LinkAgent
  /** 0 until granted. */
  epoch = 0
  private phase: 'greeting' | 'granting' | 'live' | 'ended' = 'greeting'
  private readonly socket: LinkSocket
  private readonly deps: LinkDeps
  private readonly onLive: (link: ControlLink) => void
  private readonly onEnd: (link: ControlLink, code: number, reason: string) => void
  private readonly feed: DesiredFeed
  private readonly over = new AbortController()
  private closing = false
  private readonly openedAt: number
  private heardAt: number
  private pingAt: number
  /** Messages that are dealt with one after the other. */
  private work: Promise<void> = Promise.resolve()
  private pending = 0
  private unsent = 0
  private movedAt: number

  constructor(
    socket: LinkSocket,
    agent: LinkAgent,
    deps: LinkDeps,
    events: LinkEvents,
    /** Of the same link, before its holder slept: it is live already, and `events.live` is not told again. */
    memory?: LinkMemory,
  ) {
    this.socket = socket
    this.agent = agent
    this.deps = deps
    this.onLive = events.live
    this.onEnd = events.ended
    this.openedAt = this.heardAt = this.pingAt = this.movedAt = deps.now()
    const port = {
      now: () => deps.now(),
      read: (seq: number, limit: number) => this.read(seq, limit),
      send: (message: ApiMessage) => this.send(message),
      open: () => this.live,
      failed: (error: unknown) => this.feedFailed(error),
      rested: () => events.rested?.(this),
    }
    this.feed = new DesiredFeed(port, memory?.feed ?? undefined)
    if (memory) {
      this.phase = 'live'
      this.epoch = memory.epoch
      this.heardAt = memory.heardAt
      this.pingAt = memory.pingAt
    }
    socket.onMessage(text => this.take(text))
    socket.onClose((code, reason) => this.ended(code, reason))
  }

  get live(): boolean {
    return this.phase === 'live' && !this.closing
  }

  /** null: not live. */
  get memory(): LinkMemory | null {
    return this.live ? { epoch: this.epoch, heardAt: this.heardAt, pingAt: this.pingAt, feed: this.feed.memory } : null
  }

  /** A sign of life that never came through here: the platform answered it by itself. */
  heard(at: number): void {
    this.heardAt = Math.max(this.heardAt, at)
  }

  /** Resolves when the message left our buffers, or can no longer leave. */
  async send(message: ApiMessage): Promise<void> {
    if (this.phase === 'ended') return
    if (this.unsent++ === 0) this.movedAt = this.deps.now()
    await this.socket.send(JSON.stringify(message))
    this.unsent--
    this.movedAt = this.deps.now()
  }

  close(word: CloseWord, detail?: string): void {
    if (this.phase === 'ended' || this.closing) return
    this.closing = true
    const { code, reason } = passableClose(closeCodes[word], detail ? `${word}: ${detail}` : word)
    this.socket.close(code, reason)
  }

  /** Desired state may have changed, or who may have it: one statement tells of both. */
  nudge(): void {
    if (this.live) void this.feed.pump()
  }

  /** What the cluster's row says; null: it is gone. */
  look(state: ClusterState | null): void {
    this.judge(state)
    if (state && state.seq > this.feed.sentSeq) this.nudge()
  }

  private async read(seq: number, limit: number): Promise<DesiredPage> {
    const page = await this.deps.desired(this.agent.cluster, seq, limit)
    this.judge(page.holder)
    return page
  }

  /** Ends a link that is no longer welcome. */
  private judge(holder: LinkHolder | null): void {
    if (!this.live) return
    if (!holder || holder.agent !== this.agent.id) this.close('revoked')
    else if (holder.epoch > this.epoch) this.close('superseded')
  }

  /** Deadlines and pings; call it about once a second. */
  tick(): void {
    const now = this.deps.now()
    if (this.phase === 'ended' || this.closing) return
    if (this.phase === 'greeting') {
      if (now - this.openedAt >= linkTiming.handshake) this.close('timeout', 'no hello')
      return
    }
    // Silence is not judged while we ourselves have stopped listening.
    if (this.pending === 0 && now - this.heardAt >= linkTiming.offline) this.close('timeout', 'silence')
    else if (this.unsent > 0 && now - this.movedAt >= unsentLimit) this.close('stalled')
    else if (now - this.pingAt >= linkTiming.ping) {
      this.pingAt = now
      void this.send({ type: 'ping' })
    }
    if (this.live && this.feed.due()) this.nudge()
  }

  private async take(text: string): Promise<void> {
    if (this.phase === 'ended' || this.closing) return
    this.heardAt = this.deps.now()
    if (text.length > maxLinkMessage) return this.close('too_big')
    const parsed = parseLinkMessage(AgentMessage, text)
    if ('malformed' in parsed) return this.close('protocol', parsed.malformed)
    if ('unknown' in parsed) return void this.send({ type: 'unsupported', got: parsed.unknown })
    const { message } = parsed
    switch (message.type) {
      case 'ping':
        return void this.send({ type: 'pong' })
      case 'pong':
        return
      case 'unsupported':
        return this.deps.log.warn('agent_does_not_know', { cluster: this.agent.cluster, message: message.got })
      case 'hello':
        if (this.phase !== 'greeting') return this.close('protocol', 'hello twice')
        this.phase = 'granting'
        return this.inOrder(() => this.welcome(message))
      case 'report':
        return this.afterHello(() => this.inOrder(() => this.takeReport(message)))
      case 'ack':
        return this.afterHello(() => this.feed.acked(message.seq))
      default:
        return this.afterHello(() => this.deps.streams(this.agent.cluster, message))
    }
  }

  private afterHello(handle: () => void | Promise<void>): void | Promise<void> {
    if (this.phase === 'greeting') return this.close('protocol', 'hello comes first')
    return handle()
  }

  private inOrder(step: () => Promise<void>): Promise<void> {
    this.pending++
    this.work = this.work
      .then(async () => {
        if (this.phase !== 'ended') await step()
      })
      .catch(error => {
        if (this.phase === 'ended') return
        this.deps.log.error('link_step_failed', { cluster: this.agent.cluster, message: String(error) })
        this.close('internal')
      })
      .finally(() => {
        this.pending--
        this.heardAt = this.deps.now()
      })
    return this.work
  }

  private async welcome(hello: z.infer<typeof Hello>): Promise<void> {
    const { min, max } = hello.protocol
    if (min > protocolVersion || max < protocolVersion)
      return this.close('protocol', `this API speaks ${protocolVersion}, the agent ${min} to ${max}`)
    const { cluster, clusterName } = this.agent
    const facts = { agentVersion: hello.agent_version.slice(0, 64), capabilities: hello.capabilities }
    const epoch = await this.patiently(() => this.deps.store.begin(this.agent, facts))
    if (epoch === null) return this.close('revoked')
    this.epoch = epoch
    if (this.over.signal.aborted) return this.deps.store.end(cluster, epoch)
    this.phase = 'live'
    this.onLive(this)
    if (!this.live) return
    await this.send({ type: 'welcome', epoch, cluster: { id: cluster, name: clusterName }, protocol: protocolVersion })
    void this.feed.pump()
  }

  private async takeReport({
    epoch,
    seq,
    complete,
    items,
    absent_volumes,
    terminals,
    jobs,
    load,
  }: z.infer<typeof Report>): Promise<void> {
    const { cluster } = this.agent
    if (epoch !== this.epoch) return this.deps.log.warn('report_of_other_epoch', { cluster, epoch, ours: this.epoch })
    const report = {
      cluster,
      epoch,
      seq,
      complete,
      items,
      absentVolumes: absent_volumes ?? [],
      terminals,
      jobs: jobs ?? [],
      load,
    }
    const { applied, settled } = await this.patiently(() => this.deps.report(report))
    if (!applied) {
      const state = await this.patiently(() => this.deps.store.state(cluster))
      if (state?.epoch !== this.epoch) return this.look(state)
    }
    void this.send({ type: 'report_ack', seq })
    if (settled.length > 0) this.deps.settled(cluster, settled)
  }

  /** Tries again while the database is away: the agent would only send the same thing once more. */
  private async patiently<T>(step: () => Promise<T>): Promise<T> {
    for (let wait = 250; ; wait = Math.min(wait * 2, 4_000)) {
      try {
        return await step()
      } catch (error) {
        if (!this.deps.passing(error)) throw error
        await this.deps.pause(wait, this.over.signal)
      }
    }
  }

  private feedFailed(error: unknown): void {
    if (this.deps.passing(error)) return
    this.deps.log.error('desired_state_not_sent', { cluster: this.agent.cluster, message: String(error) })
    this.close('internal')
  }

  private ended(code: number, reason: string): void {
    if (this.phase === 'ended') return
    this.phase = 'ended'
    this.over.abort(new Error('the link ended'))
    this.onEnd(this, code, reason)
  }
}
