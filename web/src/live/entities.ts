/**
 * What the dashboard knows of the server's objects, kept right by two sources: answers to requests and live events.
 * An answer can be older than an event that overtook it, so each entry remembers when it was last told (`tick`), and an answer that
 * was asked for before that is not allowed to overwrite it. Pure: no clock, no IO.
 */
export interface Entry<T> {
  value: T | null
  /** Tick of the last event; 0: known from answers only. A deleted one stays as a tombstone (`value: null`). */
  told: number
  /** What the user just asked for, shown until the server says more. */
  pending: string | null
}

export interface Entities<T> {
  tick: number
  entries: Readonly<Record<string, Entry<T>>>
}

export function noEntities<T>(): Entities<T> {
  return { tick: 0, entries: {} }
}

/** A live event told the newest state. */
export function told<T extends { id: string }>(state: Entities<T>, value: T): Entities<T> {
  // Ids never come back: what is still told of a deleted one (its pod going away) is not a new life.
  if (state.entries[value.id]?.value === null) return state
  const tick = state.tick + 1
  return { tick, entries: { ...state.entries, [value.id]: { value, told: tick, pending: null } } }
}

/** A live event said that it is gone. */
export function gone<T>(state: Entities<T>, id: string): Entities<T> {
  const tick = state.tick + 1
  return { tick, entries: { ...state.entries, [id]: { value: null, told: tick, pending: null } } }
}

/** An answer to a request that was sent when the state was at `asOf`. */
export function fetched<T extends { id: string }>(state: Entities<T>, values: readonly T[], asOf: number): Entities<T> {
  const entries = { ...state.entries }
  for (const value of values) {
    const known = entries[value.id]
    if (known && (known.value === null || known.told > asOf)) continue
    entries[value.id] = { value, told: known?.told ?? 0, pending: known?.pending ?? null }
  }
  return { tick: state.tick, entries }
}

/** After a gap in the events the whole list was fetched anew: what it lacks is gone, unless events told of it meanwhile. */
export function refetched<T extends { id: string }>(
  state: Entities<T>,
  values: readonly T[],
  asOf: number,
  covers: (value: T) => boolean,
): Entities<T> {
  const present = new Set(values.map(value => value.id))
  const kept = Object.entries(state.entries).filter(
    ([id, entry]) => present.has(id) || entry.told > asOf || entry.value === null || !covers(entry.value),
  )
  return fetched({ tick: state.tick, entries: Object.fromEntries(kept) }, values, asOf)
}

export function pend<T>(state: Entities<T>, id: string, pending: string | null): Entities<T> {
  const entry = state.entries[id]
  if (!entry || entry.pending === pending) return state
  return { tick: state.tick, entries: { ...state.entries, [id]: { ...entry, pending } } }
}

export function newestFirst<T extends { id: string; created_at: string }>(a: T, b: T): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0
}

export function valuesOf<T extends { id: string; created_at: string }>(state: Entities<T>): T[] {
  return Object.values(state.entries)
    .flatMap(entry => (entry.value ? [entry.value] : []))
    .sort(newestFirst)
}
