/**
 * Time by the server's clock. A laptop that is minutes off would otherwise show sessions as expired that are not. The `Date` header
 * has whole seconds, so smaller differences are left alone.
 */
import { createStore, type Store } from './observable.ts'

export interface ServerClock {
  now: () => number
  heard: (serverEpochMs: number) => void
  /** Ticks once a second while the page is visible. */
  ticks: Store<number>
  start: (signal: AbortSignal) => void
}

const toleranceMs = 2_500

export function createServerClock(localNow: () => number = Date.now): ServerClock {
  let offset = 0
  const now = () => localNow() + offset
  const ticks = createStore(now())
  return {
    now,
    ticks,
    heard(server) {
      const difference = server - localNow()
      if (Math.abs(difference - offset) > toleranceMs) offset = Math.abs(difference) > toleranceMs ? difference : 0
    },
    start(signal) {
      const timer = setInterval(() => {
        if (document.visibilityState === 'visible') ticks.set(now())
      }, 1_000)
      signal.addEventListener('abort', () => clearInterval(timer))
    },
  }
}
