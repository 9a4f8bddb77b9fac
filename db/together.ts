/**
 * Work of the same kind that is wanted at the same time, done together: a round trip and a commit cost more than what they bring. Nobody waits
 * for company: the first goes at once (or when all that the process has just received has been looked at), and who comes while `atOnce` are under
 * way goes with the next. So nothing is ever done with a view of the world older than the question. Each handle gathers for itself: what is asked inside
 * a transaction happens inside it, and where a database belongs to one request (Workers) nothing crosses to another.
 */
import { perPool, type Sql } from './client.ts'

export type Outcome<O> = { value: O } | { error: unknown }

export interface Gathering<I, O> {
  /** One outcome for each item, in their order; what it throws is everybody's. */
  work(db: Sql, items: readonly I[]): Promise<readonly Outcome<O>[]>
  /** Items of different lanes never meet, nor wait for each other; absent: one lane. */
  lane?(item: I): string
  atOnce: number
  most: number
  /**
   * With it, those who come in one turn of the event loop go together at its end, and while one is under way the next waits for it, but no longer
   * than until it has been out for so many ms: a connection that stands still holds up nobody for longer.
   */
  patienceMs?: number
  /** For so many ms after each, who comes waits for the next: for what nobody waits for. */
  restMs?: number
}

/** What a lane needs of its surroundings; tests bring their own. */
export interface Turns {
  now(): number
  /** At the end of this turn of the event loop; where a platform has none, at once. */
  soon(go: () => void): void
  /** Answers how to call it off. */
  later(go: () => void, ms: number): () => void
}

const { setImmediate: atEndOfTurn = (go: () => void) => go() } = globalThis as { setImmediate?: (go: () => void) => void }
const turns: Turns = {
  now: () => performance.now(),
  soon: go => void atEndOfTurn(go),
  later(go, ms) {
    const timer = setTimeout(go, ms)
    return () => clearTimeout(timer)
  },
}

export function together<I, O>(gathering: Gathering<I, O>, around = turns): (db: Sql, item: I) => Promise<O> {
  const lanesOf = perPool(() => new Map<string, Lane<I, O>>())
  return (db, item) => {
    const lanes = lanesOf(db)
    const name = gathering.lane?.(item) ?? ''
    const lane =
      lanes.get(name) ??
      new Lane(
        gathering,
        around,
        items => gathering.work(db, items),
        () => lanes.delete(name),
      )
    lanes.set(name, lane)
    return lane.ask(item)
  }
}

class Lane<I, O> {
  private readonly limits: Pick<Gathering<I, O>, 'atOnce' | 'most' | 'patienceMs' | 'restMs'>
  private readonly turns: Turns
  private readonly work: (items: readonly I[]) => Promise<readonly Outcome<O>[]>
  private readonly idle: () => void
  private waiting: { item: I; asked: PromiseWithResolvers<O> }[] = []
  /** When those that are under way left. */
  private readonly out = new Set<{ at: number }>()
  private leaving = false
  private callOff: (() => void) | null = null

  constructor(
    limits: Pick<Gathering<I, O>, 'atOnce' | 'most' | 'patienceMs' | 'restMs'>,
    turns: Turns,
    work: (items: readonly I[]) => Promise<readonly Outcome<O>[]>,
    idle: () => void,
  ) {
    this.limits = limits
    this.turns = turns
    this.work = work
    this.idle = idle
  }

  ask(item: I): Promise<O> {
    const asked = Promise.withResolvers<O>()
    this.waiting.push({ item, asked })
    this.plan()
    return asked.promise
  }

  /** Sees to it that who waits leaves, if there is room beside those under way. */
  private plan(): void {
    const { atOnce, patienceMs } = this.limits
    if (this.leaving || this.callOff || this.out.size >= atOnce || this.waiting.length === 0) return
    if (patienceMs === undefined) {
      void this.run()
      return
    }
    const young = this.youth(patienceMs)
    if (young > 0) {
      this.callOff = this.turns.later(() => {
        this.callOff = null
        this.plan()
      }, young)
    } else {
      this.leaving = true
      this.turns.soon(() => {
        this.leaving = false
        if (this.waiting.length > 0 && this.youth(patienceMs) <= 0) void this.run()
        else this.plan()
        this.rest()
      })
    }
  }

  /** For how long nobody should leave beside those under way. */
  private youth(patienceMs: number): number {
    return Math.max(0, ...[...this.out].map(({ at }) => at + patienceMs - this.turns.now()))
  }

  private rest(): void {
    if (this.out.size === 0 && !this.leaving) this.idle()
  }

  private async run(): Promise<void> {
    const { restMs } = this.limits
    const self = { at: 0 }
    this.out.add(self)
    while (this.waiting.length > 0) {
      this.callOff?.()
      this.callOff = null
      self.at = this.turns.now()
      const batch = this.waiting.splice(0, this.limits.most)
      if (this.waiting.length > 0) this.plan()
      try {
        const outcomes = await this.work(batch.map(({ item }) => item))
        for (const [n, { asked }] of batch.entries()) {
          const outcome = outcomes[n]!
          if ('error' in outcome) asked.reject(outcome.error)
          else asked.resolve(outcome.value)
        }
      } catch (error) {
        for (const { asked } of batch) asked.reject(error)
      }
      if (restMs !== undefined) await new Promise<void>(rested => this.turns.later(rested, restMs))
    }
    this.out.delete(self)
    this.rest()
  }
}

/** Reads by key, in one statement. */
export function gathered<V>(read: (db: Sql, keys: readonly string[]) => Promise<Map<string, V>>, around = turns) {
  return together<string, V | undefined>(
    {
      atOnce: 2,
      most: 100,
      patienceMs: 5,
      async work(db, keys) {
        const found = await read(db, [...new Set(keys)])
        return keys.map(key => ({ value: found.get(key) }))
      },
    },
    around,
  )
}

/** As a parameter that is cast to `text[]`: the client sends lists only of types it has looked up. */
export function textArray(values: readonly string[]): string {
  return `{${values.map(value => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}
