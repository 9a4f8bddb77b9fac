/**
 * Reads by key that are wanted at the same time, asked for in one statement: a round trip costs more than the rows it brings. Nobody waits
 * for company: the first goes at once, and who comes while `atOnce` statements are under way goes with the next. A statement never serves a
 * question older than itself, so what was committed before a question is in its answer. Each handle gathers for itself: what is asked inside
 * a transaction is read inside it, and where a database belongs to one request nothing crosses to another.
 */
import type { Sql } from './client.ts'

const atOnce = 2
/** More would be one long statement for which the first of them wait. */
const most = 100

export function gathered<V>(read: (db: Sql, keys: readonly string[]) => Promise<Map<string, V>>) {
  const lanes = new WeakMap<Sql, Lane<V>>()
  return (db: Sql, key: string): Promise<V | undefined> => {
    let lane = lanes.get(db)
    if (!lane) {
      lane = new Lane(keys => read(db, keys))
      lanes.set(db, lane)
    }
    return lane.ask(key)
  }
}

class Lane<V> {
  private readonly read: (keys: readonly string[]) => Promise<Map<string, V>>
  private waiting = new Map<string, PromiseWithResolvers<V | undefined>>()
  private running = 0

  constructor(read: (keys: readonly string[]) => Promise<Map<string, V>>) {
    this.read = read
  }

  ask(key: string): Promise<V | undefined> {
    let asked = this.waiting.get(key)
    if (!asked) {
      asked = Promise.withResolvers()
      this.waiting.set(key, asked)
      if (this.running < atOnce) void this.run()
    }
    return asked.promise
  }

  private async run(): Promise<void> {
    this.running++
    while (this.waiting.size > 0) {
      const batch = [...this.waiting].slice(0, most)
      for (const [key] of batch) this.waiting.delete(key)
      try {
        const found = await this.read(batch.map(([key]) => key))
        for (const [key, asked] of batch) asked.resolve(found.get(key))
      } catch (error) {
        for (const [, asked] of batch) asked.reject(error)
      }
    }
    this.running--
  }
}

/** As a parameter that is cast to `text[]`: the client sends lists only of types it has looked up. */
export function textArray(values: readonly string[]): string {
  return `{${values.map(value => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`
}
