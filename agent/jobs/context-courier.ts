/**
 * Brings to builds what they are made from, where it was sent to the API: asked for by attempt, given to the runtime as it comes, again from the start
 * when either end breaks. Nothing is kept here: what waits for it is what the runtime shows.
 */
import { type Clock, sleep } from '../clock.ts'
import { Backoff } from '../link/backoff.ts'
import { type Log, whatFailed } from '../log.ts'
import type { JobInstance, JobRuntime } from '../runtimes/job-runtime.ts'

export interface ContextCourierParts {
  runtime: JobRuntime
  clock: Clock
  log: Log
  open: ContextOpen
}

export type ContextOpen = (job: string, attempt: number, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>

const firstWaitMs = 300
const longestWaitMs = 10_000
/** One delivery, however slow the way. */
const deliveryMs = 15 * 60_000

export class ContextCourier {
  private readonly parts: ContextCourierParts
  private readonly errands = new Map<string, { stop: AbortController; over: Promise<void> }>()

  constructor(parts: ContextCourierParts) {
    this.parts = parts
  }

  /** Sees to it that these get theirs, and no others any more. */
  follow(waiting: readonly JobInstance[]): void {
    const wanted = new Set(waiting.map(keyOf))
    for (const [key, { stop }] of this.errands) if (!wanted.has(key)) stop.abort()
    for (const instance of waiting) {
      const key = keyOf(instance)
      if (this.errands.has(key)) continue
      const stop = new AbortController()
      const over = this.bring(instance, stop.signal).finally(() => this.errands.delete(key))
      this.errands.set(key, { stop, over })
    }
  }

  async close(): Promise<void> {
    this.follow([])
    await Promise.all([...this.errands.values()].map(({ over }) => over))
  }

  private async bring({ name, uid, job, attempt }: JobInstance, stop: AbortSignal): Promise<void> {
    const { runtime, clock, log, open } = this.parts
    const backoff = new Backoff(() => 1, firstWaitMs, longestWaitMs)
    while (!stop.aborted) {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(deliveryMs)])
      try {
        await runtime.deliver?.(name, uid, until => open(job, attempt, until), signal)
        return
      } catch (error) {
        if (stop.aborted) return
        const wait = backoff.next()
        log.warn('what a build is made from is not there yet', { name, error: whatFailed(error), retry_ms: Math.round(wait) })
        await sleep(clock, wait, stop)
      }
    }
  }
}

const keyOf = ({ name, uid }: JobInstance) => `${name} ${uid}`

export function httpContext(parts: {
  origin: string
  fetch: typeof fetch
  sign: () => Promise<string>
  epoch: () => number | null
}): ContextOpen {
  return async (job, attempt, signal) => {
    const epoch = parts.epoch()
    if (epoch === null) throw new Error('there is no link to the API')
    const url = new URL(`/v1/agent/jobs/${job}/context`, parts.origin)
    url.search = new URLSearchParams({ attempt: String(attempt), epoch: String(epoch) }).toString()
    const response = await parts.fetch(url, { headers: { authorization: `Bearer ${await parts.sign()}` }, signal })
    if (response.status === 200 && response.body) return response.body
    await response.body?.cancel()
    throw new Error(`the API answered ${response.status}`)
  }
}
