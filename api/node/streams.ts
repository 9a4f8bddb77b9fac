/**
 * The streams this replica holds: those that wait for their data socket, and those that flow. What Postgres knows of them (`grants`) is
 * written in batches; a failed write is tried again with the next sweep.
 */
import type { WebSocket } from 'ws'
import type { Db } from '#db/client.ts'
import { type CloseWord, closeCodes } from '#protocol/close-codes.ts'
import type { Log, StreamGrant } from '../platform.ts'
import { Problem } from '../problem.ts'
import { type ClosedStream, closeGrants, closeLostGrants, endedGrants } from '../tunnel/grants.ts'

/** Without a look at the database for this long nobody knows who may go on: then nobody does. */
const blindMs = 60_000

/** A flowing stream, whatever carries it. */
export interface Flow {
  readonly grant: StreamGrant
  close(word: CloseWord, reason?: string): void
  /** Called every few seconds: standstill, silence, pings. */
  check(): void
}

interface Waiter {
  grant: StreamGrant
  /** False: nobody waits any more. */
  arrived(socket: WebSocket): boolean
  failed(problem: Problem): void
  /** The agent said no: it need not be told. */
  refused(problem: Problem): void
  /** A data socket has used the key up and is on its way. */
  claimed: boolean
}

export class Streams {
  private readonly waiting = new Map<string, Waiter>()
  private readonly flowing = new Map<string, Flow>()
  private readonly closed = new Map<string, ClosedStream>()
  /** When those end by themselves whose token or link has an end. */
  private readonly due = new Map<string, number>()
  private writing: Promise<void> | null = null
  private lookedAt: number
  private readonly now: () => number
  private readonly db: Db
  private readonly replica: string
  private readonly log: Log
  constructor(env: { db: Db; replica: string; log: Log; now: () => number }) {
    this.now = env.now
    this.lookedAt = env.now()
    this.db = env.db
    this.replica = env.replica
    this.log = env.log
  }

  get size(): number {
    return this.waiting.size + this.flowing.size
  }

  flows(): Iterable<Flow> {
    return this.flowing.values()
  }

  /** Waits for the agent's data socket, at most `ms`; `ask` tells the agent, `cancel` takes it back. */
  async meet(
    grant: StreamGrant,
    options: { ms: number; signal: AbortSignal; ask: () => Promise<void>; cancel: (word: CloseWord) => void },
  ): Promise<WebSocket> {
    const { signal } = options
    if (this.waiting.has(grant.id) || this.flowing.has(grant.id)) throw new Problem('conflict', 'This stream is open already.')
    const { promise, resolve, reject } = Promise.withResolvers<WebSocket>()
    let settled = false
    let told = false
    const failed = (problem: unknown) => {
      settled = true
      reject(problem)
    }
    const left = () => failed(new Problem('bad_request', 'The client left.'))
    signal.addEventListener('abort', left, { once: true })
    const timer = setTimeout(() => failed(new Problem('target_timeout', 'The session did not answer in time.')), options.ms)
    this.waiting.set(grant.id, {
      grant,
      claimed: false,
      failed,
      refused(problem) {
        told = false
        failed(problem)
      },
      arrived(socket) {
        if (settled) return false
        settled = true
        resolve(socket)
        return true
      },
    })
    try {
      signal.throwIfAborted()
      told = true
      options.ask().catch(error => {
        told = false
        failed(error)
      })
      return await promise
    } catch (error) {
      const word: CloseWord = signal.aborted ? 'going_away' : 'no_meeting'
      this.over(grant.id, closeCodes[word])
      if (told) options.cancel(word)
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', left)
      this.waiting.delete(grant.id)
    }
  }

  waiter(stream: string): Waiter | null {
    const waiter = this.waiting.get(stream)
    return waiter && !waiter.claimed ? waiter : null
  }

  refused(stream: string, problem: Problem): boolean {
    const waiter = this.waiting.get(stream)
    waiter?.refused(problem)
    return waiter !== undefined
  }

  flow(flow: Flow): void {
    const { id, lifeMs } = flow.grant
    this.flowing.set(id, flow)
    if (lifeMs !== undefined) this.due.set(id, this.now() + lifeMs)
  }

  gone(stream: string): void {
    this.flowing.delete(stream)
    this.due.delete(stream)
  }

  /** The stream is over; its row is closed soon. */
  over(id: string, code: number, more: Omit<ClosedStream, 'id' | 'code'> = {}): void {
    this.closed.set(id, { id, code, ...more })
    this.writing ??= Promise.resolve().then(() => this.write())
  }

  end(stream: string, word: CloseWord, reason?: string): boolean {
    const waiter = this.waiting.get(stream)
    waiter?.failed(new Problem(word === 'token_ended' || word === 'revoked' ? 'unauthorized' : 'target_refused', reason ?? word))
    const flow = this.flowing.get(stream)
    flow?.close(word, reason)
    return waiter !== undefined || flow !== undefined
  }

  /** Milliseconds that a stream may still be carried by what is known here. */
  leftOf(stream: string): number {
    return (this.due.get(stream) ?? Number.POSITIVE_INFINITY) - this.now()
  }

  check(): void {
    for (const stream of [...this.due.keys()]) if (this.leftOf(stream) <= 0) this.end(stream, 'token_ended')
    if (this.flowing.size > 0 && this.now() - this.lookedAt > blindMs) {
      this.log.warn('streams_ended_blind', { streams: this.flowing.size, seconds: blindMs / 1000 })
      this.endAll('token_ended')
    }
    for (const flow of [...this.flowing.values()]) flow.check()
  }

  /** Ends what may no longer be, and writes what could not be written before. */
  async sweep(): Promise<void> {
    const ended = await endedGrants(this.db, this.replica)
    this.lookedAt = this.now()
    for (const { id, word } of ended) {
      if (!this.end(id, word)) continue
      this.log.info('stream_ended_by_sweep', { stream: id, word })
    }
    if (this.closed.size > 0) await (this.writing ??= this.write())
  }

  async sweepLost(): Promise<void> {
    await closeLostGrants(this.db, this.replica, [...this.waiting.keys(), ...this.flowing.keys()])
  }

  endAll(word: CloseWord): void {
    for (const id of [...this.waiting.keys(), ...this.flowing.keys()]) this.end(id, word)
  }

  /** Resolves when Postgres knows of every end. */
  async settled(): Promise<void> {
    await this.writing
  }

  private async write(): Promise<void> {
    try {
      while (this.closed.size > 0) {
        const batch = [...this.closed.values()].slice(0, 1_000)
        await closeGrants(this.db, batch)
        for (const { id } of batch) this.closed.delete(id)
      }
    } catch (error) {
      this.log.warn('grants_not_closed', { waiting: this.closed.size, message: String(error) })
    } finally {
      this.writing = null
    }
  }
}
