/**
 * Brings what jobs write to the API while they run, each stream in order and by itself. Nothing is kept here: the runtime has the bytes, the API
 * says how far it has come, and after any death of either the reading goes on from there. At most one piece per stream is in memory, and a
 * stream that floods may only take so much of the way: what the runtime cannot keep for it meanwhile becomes a gap.
 */
import { maxLogPiece } from '#protocol/job-logs.ts'
import { type Clock, sleep } from '../clock.ts'
import { Backoff } from '../link/backoff.ts'
import { type Log, whatFailed } from '../log.ts'
import type { JobInstance, JobRuntime, LogPiece } from '../runtimes/job-runtime.ts'
import type { LogPost, LogPostAnswer } from './log-post.ts'
import { SecretMask } from './secret-mask.ts'

export interface LogShipperParts {
  runtime: JobRuntime
  clock: Clock
  log: Log
  post: LogPost
  /** Term of the link; null while there is none. */
  epoch: () => number | null
  /** A stream was taken in full. */
  done: () => void
}

/** Output gathers this long before it is sent. */
const gatherMs = 200
/** So much goes at once, beyond it so many bytes a second. */
const burstBytes = 4 * 2 ** 20
const bytesPerSecond = 2 ** 20
const waitForLinkMs = 500
const longestMark = 200

interface Shipment {
  stop: AbortController
  done: boolean
  /** Told when the attempt ended: from then on nothing is held back by the rate. */
  over: boolean
}

export class LogShipper {
  private readonly parts: LogShipperParts
  private readonly shipments = new Map<string, Shipment>()
  private readonly running = new Set<Promise<void>>()

  constructor(parts: LogShipperParts) {
    this.parts = parts
  }

  /** Sees to it that these streams are brought, and no others any more. `secrets`: what must not be shown of an attempt. */
  follow(instances: readonly { instance: JobInstance; secrets: readonly string[] }[]): void {
    const wanted = new Set<string>()
    for (const { instance, secrets } of instances) {
      for (const stream of instance.streams) {
        const key = keyOf(instance, stream)
        wanted.add(key)
        const known = this.shipments.get(key)
        if (known) known.over ||= instance.phase === 'ended'
        else this.begin(key, instance, stream, secrets)
      }
    }
    for (const [key, shipment] of this.shipments) {
      if (wanted.has(key)) continue
      shipment.stop.abort()
      this.shipments.delete(key)
    }
  }

  /** Everything the attempt wrote has been taken. */
  taken(instance: JobInstance): boolean {
    return instance.streams.every(stream => this.shipments.get(keyOf(instance, stream))?.done ?? false)
  }

  async close(): Promise<void> {
    this.follow([])
    await Promise.all(this.running)
  }

  private begin(key: string, instance: JobInstance, stream: string, secrets: readonly string[]): void {
    const shipment: Shipment = { stop: new AbortController(), done: false, over: instance.phase === 'ended' }
    this.shipments.set(key, shipment)
    const work = this.ship(instance, stream, secrets, shipment)
      .catch(error => {
        if (!shipment.stop.signal.aborted)
          this.parts.log.error('a log cannot be brought', { name: instance.name, error: whatFailed(error) })
      })
      .finally(() => this.running.delete(work))
    this.running.add(work)
  }

  private async ship(instance: JobInstance, stream: string, secrets: readonly string[], shipment: Shipment): Promise<void> {
    const { clock, log, done } = this.parts
    const { signal } = shipment.stop
    const backoff = new Backoff(() => 1, 500, 10_000)
    while (!signal.aborted) {
      try {
        const bringing = new Bringing(this.parts, instance, stream, new SecretMask(secrets), shipment)
        if (!(await bringing.run())) continue
        shipment.done = true
        done()
        return
      } catch (error) {
        if (signal.aborted) return
        const wait = backoff.next()
        log.warn('a log waits', { name: instance.name, error: whatFailed(error), retry_ms: Math.round(wait) })
        await sleep(clock, wait, signal)
      }
    }
  }
}

const keyOf = ({ name, uid }: JobInstance, stream: string) => `${name} ${uid} ${stream}`

/** One go at a stream: from where the API is to its end, or to the first surprise. */
class Bringing {
  private readonly parts: LogShipperParts
  private readonly instance: JobInstance
  private readonly stream: string
  private readonly mask: SecretMask
  private readonly shipment: Shipment
  private next = 0
  private mark: string | undefined
  private waiting: Buffer[] = []
  private bytes = 0
  private sentAt = Number.NEGATIVE_INFINITY
  private credit = burstBytes
  private creditAt: number

  constructor(parts: LogShipperParts, instance: JobInstance, stream: string, mask: SecretMask, shipment: Shipment) {
    this.parts = parts
    this.instance = instance
    this.stream = stream
    this.mask = mask
    this.shipment = shipment
    this.creditAt = parts.clock.now()
  }

  /** True when nothing is left to do; false: begin again from where the API says. */
  async run(): Promise<boolean> {
    const { runtime } = this.parts
    const { signal } = this.shipment.stop
    const asked = await this.post({})
    if (asked.kind === 'unknown') return true
    if (asked.kind === 'stale' || asked.answer.complete) return asked.kind !== 'stale'
    this.next = asked.answer.next
    const { name, uid } = this.instance
    const from = { offset: this.next, mark: asked.answer.mark }
    const pieces = runtime.logs(name, uid, this.stream, from, signal)[Symbol.asyncIterator]()
    let coming: Promise<IteratorResult<LogPiece>> | null = null
    try {
      for (;;) {
        coming ??= pieces.next()
        const came = await this.orGathered(coming)
        if (came === 'gathered') {
          if (!(await this.send())) return this.over
          continue
        }
        coming = null
        if (came.done) break
        if (!(await this.take(came.value))) return this.over
      }
      if (signal.aborted) return false
      this.put(this.mask.flush())
      return (await this.send()) && (await this.finish())
    } finally {
      // The reader may be waiting for more: its signal, not its turn, ends it.
      void Promise.resolve(pieces.return?.(undefined)).catch(() => {})
      coming?.catch(() => {})
    }
  }

  private over = false

  /** The next piece, or the end of the time in which output gathers. */
  private orGathered(coming: Promise<IteratorResult<LogPiece>>): Promise<IteratorResult<LogPiece> | 'gathered'> {
    if (this.bytes === 0) return coming
    const { clock } = this.parts
    return new Promise((resolve, reject) => {
      const cancel = clock.after(Math.max(0, this.sentAt + gatherMs - clock.now()), () => resolve('gathered'))
      coming.then(resolve, reject).finally(cancel)
    })
  }

  private async take(piece: LogPiece): Promise<boolean> {
    if (piece.mark !== undefined && piece.mark.length <= longestMark) this.mark = piece.mark
    if ('gap' in piece) {
      this.put(this.mask.flush())
      if (!(await this.send())) return false
      return this.accept(await this.post({ offset: this.next, gap: piece.gap, mark: this.mark }), this.next + piece.gap)
    }
    this.put(this.mask.push(piece.data))
    return this.bytes < maxLogPiece || this.send()
  }

  private put(data: Buffer): void {
    if (data.length === 0) return
    this.waiting.push(data)
    this.bytes += data.length
  }

  /** Sends what has gathered; false: the API wants something else. */
  private async send(): Promise<boolean> {
    const all = Buffer.concat(this.waiting)
    this.waiting = []
    this.bytes = 0
    for (let at = 0; at < all.length; at += maxLogPiece) {
      const data = all.subarray(at, at + maxLogPiece)
      await this.pace(data.length)
      const last = at + maxLogPiece >= all.length
      // The runtime's mark is behind what is held back, so it would skip that.
      const mark = last && this.mask.holdsNothing ? { mark: this.mark } : {}
      if (!this.accept(await this.post({ offset: this.next, data, ...mark }), this.next + data.length)) return false
    }
    this.sentAt = this.parts.clock.now()
    return true
  }

  private async finish(): Promise<boolean> {
    return this.accept(await this.post({ offset: this.next, complete: true }), this.next)
  }

  private accept(answer: LogPostAnswer, next: number): boolean {
    if (answer.kind === 'unknown') this.over = true
    if (answer.kind !== 'taken' || answer.answer.next !== next) return false
    this.next = next
    return true
  }

  private async post(piece: Partial<Parameters<LogPost>[0]>): Promise<LogPostAnswer> {
    const { clock, epoch, post } = this.parts
    const { signal } = this.shipment.stop
    for (;;) {
      signal.throwIfAborted()
      const now = epoch()
      if (now === null) {
        await sleep(clock, waitForLinkMs, signal)
        continue
      }
      const { job, attempt } = this.instance
      const answer = await post({ job, attempt, stream: this.stream, epoch: now, ...piece }, signal)
      if (answer.kind !== 'stale') return answer
      await sleep(clock, waitForLinkMs, signal)
    }
  }

  private async pace(bytes: number): Promise<void> {
    const { clock } = this.parts
    const now = clock.now()
    this.credit = Math.min(burstBytes, this.credit + ((now - this.creditAt) / 1000) * bytesPerSecond) - bytes
    this.creditAt = now
    if (this.credit < 0 && !this.shipment.over)
      await sleep(clock, (-this.credit / bytesPerSecond) * 1000, this.shipment.stop.signal)
  }
}
