/**
 * Sends desired state down one link: first everything in pages, then what changed. One pump at a time; a call while it runs makes it look
 * once more. Unacknowledged messages are limited, and an acknowledgement that stays out raises doubt: then everything again.
 */
import { type ApiMessage, linkTiming } from '#protocol/link-messages.ts'
import type { DesiredPage } from './link-port.ts'

const pageSize = 200
const maxUnacked = 16
const ackPatience = 30_000

interface FeedPort {
  now(): number
  read(seq: number, limit: number): Promise<DesiredPage>
  /** Resolves when the message left our buffers. */
  send(message: ApiMessage): Promise<void>
  open(): boolean
  failed(error: unknown): void
  /** Nothing is under way any more. */
  rested(): void
}

/** What a feed must not forget while its holder sleeps. */
export interface FeedMemory {
  sentSeq: number
  sentAllAt: number
  unacked: { seq: number; at: number }[]
}

export class DesiredFeed {
  /** Everything up to here has been sent. */
  sentSeq = 0
  private readonly port: FeedPort
  private wantsAll = true
  private sentAllAt = 0
  private unacked: FeedMemory['unacked'] = []
  private running = false
  private again = false

  constructor(port: FeedPort, memory?: FeedMemory) {
    this.port = port
    if (!memory) return
    this.wantsAll = false
    this.sentSeq = memory.sentSeq
    this.sentAllAt = memory.sentAllAt
    this.unacked = memory.unacked
  }

  /** null: something is under way, or the peer has not got everything yet. */
  get memory(): FeedMemory | null {
    if (this.running || this.wantsAll) return null
    return { sentSeq: this.sentSeq, sentAllAt: this.sentAllAt, unacked: this.unacked }
  }

  /** True when it is time to send everything again. */
  due(): boolean {
    if (this.running) return false
    const now = this.port.now()
    const doubt = this.unacked[0] !== undefined && now - this.unacked[0].at >= ackPatience
    if (doubt || now - this.sentAllAt >= linkTiming.resync) this.wantsAll = true
    return this.wantsAll
  }

  acked(seq: number): void {
    const full = this.unacked.length >= maxUnacked
    this.unacked = this.unacked.filter(message => message.seq > seq)
    if (full && this.unacked.length < maxUnacked) void this.pump()
  }

  async pump(): Promise<void> {
    this.again = true
    if (this.running) return
    this.running = true
    try {
      while (this.again && this.port.open()) {
        this.again = false
        await (this.wantsAll ? this.sendAll() : this.sendChanges())
      }
    } catch (error) {
      this.port.failed(error)
    } finally {
      this.running = false
      this.port.rested()
    }
  }

  private async sendAll(): Promise<void> {
    this.unacked = []
    let seq = 0
    for (let complete = false; !complete && this.port.open(); ) {
      const page = await this.port.read(seq, pageSize)
      if (!this.port.open()) return
      seq = page.seq
      complete = page.complete
      if (complete) this.unacked.push({ seq, at: this.port.now() })
      await this.port.send({ type: 'snapshot', seq, items: page.items, ...beside(page), complete })
    }
    this.sentSeq = seq
    this.sentAllAt = this.port.now()
    this.wantsAll = false
  }

  private async sendChanges(): Promise<void> {
    while (this.unacked.length < maxUnacked && this.port.open()) {
      const page = await this.port.read(this.sentSeq, pageSize)
      if (!this.port.open()) return
      this.sentSeq = page.seq
      const more = beside(page)
      if (page.items.length > 0 || Object.keys(more).length > 0) {
        this.unacked.push({ seq: page.seq, at: this.port.now() })
        await this.port.send({ type: 'delta', seq: page.seq, items: page.items, ...more })
      }
      if (page.complete) return
    }
  }
}

const beside = ({ deletedVolumes, jobs, endedTerminals = [] }: DesiredPage) => ({
  ...(deletedVolumes.length > 0 ? { deleted_volumes: deletedVolumes } : {}),
  ...(jobs.length > 0 ? { jobs } : {}),
  ...(endedTerminals.length > 0 ? { ended_terminals: endedTerminals } : {}),
})
