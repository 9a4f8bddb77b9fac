/**
 * Work of the same kind that is wanted at the same time, done together: a round trip and a commit cost more than what they bring. Nobody waits
 * for company: the first goes at once, and who comes while `atOnce` are under way goes with the next. So nothing is ever done with a view of
 * the world older than the question. Each handle gathers for itself: what is asked inside a transaction happens inside it, and where a
 * database belongs to one request (Workers) nothing crosses to another.
 */
import type { Sql } from './client.ts'

export type Outcome<O> = { value: O } | { error: unknown }

export interface Gathering<I, O> {
  /** One outcome for each item, in their order; what it throws is everybody's. */
  work(db: Sql, items: readonly I[]): Promise<readonly Outcome<O>[]>
  /** Items of different lanes never meet, nor wait for each other; absent: one lane. */
  lane?(item: I): string
  atOnce: number
  most: number
}

export function together<I, O>(gathering: Gathering<I, O>): (db: Sql, item: I) => Promise<O> {
  const handles = new WeakMap<Sql, Map<string, Lane<I, O>>>()
  return (db, item) => {
    const lanes = handles.get(db) ?? new Map<string, Lane<I, O>>()
    handles.set(db, lanes)
    const name = gathering.lane?.(item) ?? ''
    const lane =
      lanes.get(name) ??
      new Lane(
        gathering,
        items => gathering.work(db, items),
        () => lanes.delete(name),
      )
    lanes.set(name, lane)
    return lane.ask(item)
  }
}

class Lane<I, O> {
  private readonly limits: { atOnce: number; most: number }
  private readonly work: (items: readonly I[]) => Promise<readonly Outcome<O>[]>
  private readonly idle: () => void
  private waiting: { item: I; asked: PromiseWithResolvers<O> }[] = []
  private running = 0

  constructor(
    limits: { atOnce: number; most: number },
    work: (items: readonly I[]) => Promise<readonly Outcome<O>[]>,
    idle: () => void,
  ) {
    this.limits = limits
    this.work = work
    this.idle = idle
  }

  ask(item: I): Promise<O> {
    const asked = Promise.withResolvers<O>()
    this.waiting.push({ item, asked })
    if (this.running < this.limits.atOnce) void this.run()
    return asked.promise
  }

  private async run(): Promise<void> {
    this.running++
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.limits.most)
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
    }
    this.running--
    if (this.running === 0) this.idle()
  }
}

/** Reads by key, in one statement. */
export function gathered<V>(read: (db: Sql, keys: readonly string[]) => Promise<Map<string, V>>) {
  return together<string, V | undefined>({
    atOnce: 2,
    most: 100,
    async work(db, keys) {
      const found = await read(db, keys)
      return keys.map(key => ({ value: found.get(key) }))
    },
  })
}

/** As a parameter that is cast to `text[]`: the client sends lists only of types it has looked up. */
export function textArray(values: readonly string[]): string {
  return `{${values.map(value => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}
