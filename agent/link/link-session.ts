/**
 * One life of the control link, from `hello` to its close: handshake, snapshot and deltas in, reports out, pings both ways, and a watch
 * that ends it after too much silence. What to do after its end is the redialler's matter (agent-link.ts).
 */

import { closeCodes, passableClose } from '#protocol/close-codes.ts'
import {
  type AgentCapabilities,
  type AgentMessage,
  ApiMessage,
  linkTiming,
  type Open,
  parseLinkMessage,
  type StreamRole,
} from '#protocol/link-messages.ts'
import type { Clock } from '../clock.ts'
import { type Log, whatFailed } from '../log.ts'
import type { DesiredState } from '../sessions/desired-state.ts'
import type { LinkSocket } from './link-socket.ts'
import { Reporter, type ReportSource } from './reporter.ts'

/** The streams' side of the link. */
export interface StreamControl {
  open(open: Open): void
  close(stream: string, code: number, reason: string): void
  renew(stream: string, remainingMs: number, role?: StreamRole): void
  list(): string[]
}

/** Where the epoch is kept; `accept` resolves once it is safe on disk. */
export interface EpochFence {
  highest(): number
  accept(epoch: number): Promise<void>
}

export interface LinkParts {
  clock: Clock
  random: () => number
  log: Log
  hello: () => Promise<{ agent_version: string; boot: string; capabilities: AgentCapabilities }>
  epochs: EpochFence
  desired: DesiredState
  /** What is wanted changed. */
  desiredChanged: () => void
  /** Calls back after everything was looked at anew: only then can a report claim to be complete. */
  whenSeen: (run: () => void) => void
  source: ReportSource
  streams: StreamControl
  /** The link works: a snapshot came and everything was reported. */
  up: (cluster: { id: string; name: string }, epoch: number) => void
}

export interface LinkEnd {
  code: number
  reason: string
  /** How long it worked, from `welcome`; null: it never did. */
  upMs: number | null
  goawayMs: number | null
}

const streamSyncMs = 60_000
/** An acknowledgement counts for all before it, and only steadies the API: it goes with the next report, or this much later, or after so many. */
const ackMs = 100
const mostUnacked = 8

export class LinkSession {
  readonly ended: Promise<LinkEnd>
  private readonly parts: LinkParts
  private socket: LinkSocket | null = null
  private resolveEnd: (end: LinkEnd) => void = () => {}
  private finished = false
  private heardAt: number
  private welcomedAt: number | null = null
  private welcoming = false
  private cluster = { id: '', name: '' }
  private epoch = 0
  private reporter: Reporter | null = null
  private goawayMs: number | null = null
  private up = false
  private unacked = 0
  /** Messages that came while the epoch was being written down. */
  private early: ApiMessage[] = []
  private readonly timers = new Map<string, () => void>()
  private readonly resume: { epoch: number; seq: number } | null

  constructor(parts: LinkParts, resume: { epoch: number; seq: number } | null) {
    this.parts = parts
    this.resume = resume
    this.heardAt = parts.clock.now()
    this.ended = new Promise(resolve => (this.resolveEnd = resolve))
  }

  /** The socket is open: introduce ourselves. */
  async begin(socket: LinkSocket): Promise<void> {
    this.socket = socket
    this.life()
    // Closed while opening: the socket said so before it was handed over.
    if (this.finished) return socket.terminate()
    this.timer('handshake', linkTiming.handshake * 2, () => this.close(closeCodes.timeout, 'no welcome'))
    this.watchSilence()
    const { hello } = this.parts
    try {
      const { agent_version, boot, capabilities } = await hello()
      this.send({ type: 'hello', agent_version, boot, protocol: { min: 1, max: 1 }, capabilities, resume: this.resume })
    } catch (error) {
      this.parts.log.error('the runtime cannot say what it can do', { error: whatFailed(error) })
      this.close(closeCodes.internal, 'no capabilities')
    }
  }

  /** True when it was handed to the socket. */
  send(message: AgentMessage): boolean {
    if (!this.socket || this.finished) return false
    this.socket.send(JSON.stringify(message))
    return true
  }

  get working(): boolean {
    return this.up && !this.finished
  }
  reportSoon(): void {
    this.reporter?.soon()
  }
  loadChanged(): void {
    this.reporter?.loadChanged()
  }

  life = (): void => {
    this.heardAt = this.parts.clock.now()
  }

  receive = (text: string): void => {
    this.life()
    if (this.finished) return
    const parsed = parseLinkMessage(ApiMessage, text)
    if ('unknown' in parsed) {
      this.send({ type: 'unsupported', got: parsed.unknown })
    } else if ('malformed' in parsed) {
      this.parts.log.error('the API sent something malformed', { what: parsed.malformed })
      this.close(closeCodes.protocol, parsed.malformed)
    } else if (this.welcoming && parsed.message.type !== 'ping') {
      this.early.push(parsed.message)
    } else {
      this.handle(parsed.message)
    }
  }

  close(code: number, reason: string): void {
    if (this.finished) return
    const passable = passableClose(code, reason)
    this.socket?.close(passable.code, passable.reason)
    this.closed(passable.code, passable.reason)
  }

  closed = (code: number, reason: string): void => {
    if (this.finished) return
    this.finished = true
    this.reporter?.close()
    for (const cancel of this.timers.values()) cancel()
    this.timers.clear()
    const upMs = this.welcomedAt === null ? null : this.parts.clock.now() - this.welcomedAt
    this.resolveEnd({ code, reason, upMs, goawayMs: this.goawayMs })
  }

  private reportAll = (): void => {
    if (this.finished) return
    this.reporter!.complete()
    if (this.up) return
    this.up = true
    this.parts.up(this.cluster, this.epoch)
  }

  private handle(message: ApiMessage): void {
    const { desired, streams, random } = this.parts
    if (message.type === 'ping') return void this.send({ type: 'pong' })
    if (message.type === 'pong' || message.type === 'unsupported') return
    if (message.type === 'welcome') return void this.welcome(message)
    if (this.welcomedAt === null) {
      this.close(closeCodes.protocol, `${message.type} before welcome`)
      return
    }
    switch (message.type) {
      case 'snapshot':
        if (!desired.page(message)) {
          if (message.complete) this.ack()
          return
        }
        this.parts.desiredChanged()
        this.ack()
        this.parts.whenSeen(this.reportAll)
        return
      case 'delta':
        if (!desired.delta(message)) return
        this.parts.desiredChanged()
        this.ackSoon()
        return
      case 'report_ack':
        return
      case 'open':
        streams.open(message)
        return
      case 'close':
        streams.close(message.stream, message.code, message.reason)
        return
      case 'renew':
        for (const { stream, remaining_ms, role } of message.streams) streams.renew(stream, remaining_ms, role)
        return
      case 'goaway':
        // Not all agents of a replica at the same moment: anywhere within the time it gives.
        this.goawayMs = message.after_ms
        this.timer('goaway', random() * message.after_ms, () => this.close(closeCodes.going_away, 'goaway'))
    }
  }

  private async welcome(message: Extract<ApiMessage, { type: 'welcome' }>): Promise<void> {
    const { epochs, log, clock, desired, streams } = this.parts
    if (this.welcomedAt !== null || this.welcoming) return this.close(closeCodes.protocol, 'a second welcome')
    if (message.epoch < epochs.highest()) {
      log.error('the API offers an older epoch than one already seen; its database may be a restored backup. Changing nothing', {
        offered: message.epoch,
        seen: epochs.highest(),
        remedy: 'remove state.json of the agent if this is meant',
      })
      return this.close(closeCodes.superseded, 'epoch went backwards')
    }
    this.welcoming = true
    try {
      await epochs.accept(message.epoch)
    } catch (error) {
      log.error('the epoch cannot be written down', { error: whatFailed(error) })
      return this.close(closeCodes.internal, 'state cannot be written')
    }
    this.welcoming = false
    if (this.finished) return
    this.timers.get('handshake')?.()
    this.welcomedAt = clock.now()
    this.epoch = message.epoch
    this.cluster = message.cluster
    desired.beginEpoch()
    this.reporter = new Reporter(this.parts.source, clock, message.epoch, report => {
      if (this.unacked > 0) this.ack()
      this.send(report)
    })
    this.ping()
    const sync = () => {
      this.send({ type: 'streams', streams: streams.list() })
      this.timer('sync', streamSyncMs, sync)
    }
    sync()
    for (const early of this.early.splice(0)) if (!this.finished) this.handle(early)
  }

  private ack(): void {
    this.unacked = 0
    this.timers.get('ack')?.()
    this.send({ type: 'ack', seq: this.parts.desired.seq })
  }

  private ackSoon(): void {
    if (++this.unacked >= mostUnacked) this.ack()
    else if (this.unacked === 1) this.timer('ack', ackMs, () => this.ack())
  }

  private ping(): void {
    this.timer('ping', linkTiming.ping, () => {
      this.send({ type: 'ping' })
      this.ping()
    })
  }

  private watchSilence(): void {
    const left = this.heardAt + linkTiming.redial - this.parts.clock.now()
    this.timer('silence', Math.max(left, 1), () => {
      if (this.parts.clock.now() - this.heardAt < linkTiming.redial) return this.watchSilence()
      this.parts.log.warn('the API is silent', { seconds: linkTiming.redial / 1000 })
      this.socket?.terminate()
      this.closed(closeCodes.timeout, 'silence')
    })
  }

  private timer(name: string, ms: number, run: () => void): void {
    this.timers.get(name)?.()
    this.timers.set(name, this.parts.clock.after(ms, run))
  }
}
