/** Templates and clusters: asked for once per page, kept for all. */
import { useEffect, useState } from 'react'
import type { Cluster, Template } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { refetched, valuesOf } from '../../live/entities.ts'
import { sameList, useStore } from '../../live/observable.ts'

export interface Asked<T> {
  value: T
  phase: 'loading' | 'ready' | 'failed'
  error: Error | null
  retry: () => void
}

/** Runs `ask` again when `key` changes, the live link came back, or `retry` is called. */
export function useAsked<T>(initial: T, ask: (signal: AbortSignal) => Promise<T>, key: string): Asked<T> {
  const { live } = useApp()
  const resync = useStore(live.resync, count => count)
  const [again, setAgain] = useState(0)
  const [state, setState] = useState<Omit<Asked<T>, 'retry'>>({ value: initial, phase: 'loading', error: null })
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ask` is made anew on each render; `key` says when it means something else
  useEffect(() => {
    const stop = new AbortController()
    ask(stop.signal)
      .then(value => setState({ value, phase: 'ready', error: null }))
      .catch(error => {
        if (!stop.signal.aborted)
          setState(current => ({ ...current, phase: current.phase === 'ready' ? 'ready' : 'failed', error }))
      })
    return () => stop.abort()
  }, [key, resync, again])
  return { ...state, retry: () => setAgain(count => count + 1) }
}

export function useTemplates(): Asked<readonly Template[]> {
  const { api } = useApp()
  return useAsked<readonly Template[]>([], async signal => (await api.templates(signal)).data, 'templates')
}

export function useClusters(allowed: boolean): Asked<readonly Cluster[]> {
  const { api, live } = useApp()
  const asked = useAsked<null>(
    null,
    async signal => {
      if (!allowed) return null
      const asOf = live.clusters.get().tick
      const all: Cluster[] = []
      let cursor: string | null = null
      do {
        const page: Awaited<ReturnType<typeof api.clusters>> = await api.clusters(cursor, signal)
        all.push(...page.data)
        cursor = page.next_cursor
      } while (cursor)
      live.clusters.update(state => refetched(state, all, asOf, () => true))
      return null
    },
    `clusters ${allowed}`,
  )
  const value = useStore(live.clusters, state => valuesOf(state), sameList)
  return { ...asked, value }
}
