/**
 * One token bucket for everything this agent asks of the API server, so that no loop of ours can be the one that hurts it. Ending comes before
 * looking, looking before making. When the server says "too many" or fails, all wait as long as it asks, then one request of each
 * priority feels the way; the first success lets the others go on.
 */
import type { Clock } from '#agent/clock.ts'

export const priorities = ['end', 'look', 'make'] as const
export type Priority = (typeof priorities)[number]

/** Leave to send one request; to be given back exactly once. */
export interface Turn {
  succeeded(): void
  /** The server is strained: nobody asks again for `holdMs`. */
  strained(holdMs: number): void
}

interface Waiting {
  resolve: (turn: Turn) => void
  reject: (reason: unknown) => void
  signal: AbortSignal
  drop: () => void
}

/** A session costs five requests to make and four to end: this is some four of either a second, and no load to an API server. */
export const budgetDefaults = { perSecond: 20, burst: 40 } as const

export class RequestBudget {
  private readonly clock: Clock
  private readonly perSecond: number
  private readonly burst: number
  private readonly waiting: Record<Priority, Waiting[]> = { end: [], look: [], make: [] }
  private readonly inFlight: Record<Priority, number> = { end: 0, look: 0, make: 0 }
  private tokens: number
  private filledAt: number
  private holdUntil = 0
  private careful = false
  private cancelTimer: (() => void) | null = null

  constructor(clock: Clock, limits: { perSecond: number; burst: number } = budgetDefaults) {
    this.clock = clock
    this.perSecond = limits.perSecond
    this.burst = limits.burst
    this.tokens = limits.burst
    this.filledAt = clock.now()
    this.holdUntil = clock.now()
  }

  take(priority: Priority, signal: AbortSignal): Promise<Turn> {
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const queue = this.waiting[priority]
      const drop = () => {
        const at = queue.indexOf(entry)
        if (at >= 0) queue.splice(at, 1)
        reject(signal.reason)
      }
      const entry: Waiting = { resolve, reject, signal, drop }
      signal.addEventListener('abort', drop, { once: true })
      queue.push(entry)
      this.pump()
    })
  }

  private pump(): void {
    this.cancelTimer?.()
    this.cancelTimer = null
    const now = this.clock.now()
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.filledAt) / 1000) * this.perSecond)
    this.filledAt = now
    for (const priority of priorities) {
      const queue = this.waiting[priority]
      while (queue.length > 0) {
        if (this.careful && this.inFlight[priority] > 0) break
        const wait = now < this.holdUntil ? this.holdUntil - now : ((1 - this.tokens) / this.perSecond) * 1000
        if (wait > 0) {
          this.pumpIn(wait)
          return
        }
        this.tokens--
        this.inFlight[priority]++
        const { resolve, signal, drop } = queue.shift()!
        signal.removeEventListener('abort', drop)
        resolve(this.turn(priority))
      }
    }
  }

  private pumpIn(ms: number): void {
    this.cancelTimer = this.clock.after(Math.ceil(ms), () => this.pump())
  }

  private turn(priority: Priority): Turn {
    let over = false
    const end = (then: () => void) => {
      if (over) return
      over = true
      this.inFlight[priority]--
      then()
      this.pump()
    }
    return {
      succeeded: () =>
        end(() => {
          this.careful = false
        }),
      strained: holdMs =>
        end(() => {
          this.careful = true
          this.holdUntil = Math.max(this.holdUntil, this.clock.now() + holdMs)
        }),
    }
  }
}
