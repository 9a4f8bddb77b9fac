/** A value with listeners: the one kind of state that outlives a page. React reads it with `useStore`. */
import { useRef, useSyncExternalStore } from 'react'

export interface Store<T> {
  get: () => T
  set: (next: T) => void
  update: (change: (current: T) => T) => void
  subscribe: (listener: () => void) => () => void
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial
  const listeners = new Set<() => void>()
  const set = (next: T) => {
    if (Object.is(next, value)) return
    value = next
    for (const listener of [...listeners]) listener()
  }
  return {
    get: () => value,
    set,
    update: change => set(change(value)),
    subscribe(listener) {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
  }
}

/** Re-renders only when what `select` picks has changed (by identity, or by `same`). */
export function useStore<T, R>(store: Store<T>, select: (value: T) => R, same: (a: R, b: R) => boolean = Object.is): R {
  const last = useRef<{ value: R } | null>(null)
  const pick = () => {
    const next = select(store.get())
    if (last.current && same(last.current.value, next)) return last.current.value
    last.current = { value: next }
    return next
  }
  return useSyncExternalStore(store.subscribe, pick)
}

export function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => Object.is(item, b[index]))
}
