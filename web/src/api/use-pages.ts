/** A list that is loaded page by page: the first when `key` changes or the live link came back, the others when asked for. */
import { useEffect, useRef, useState } from 'react'
import { useApp } from '../app-context.tsx'
import { useStore } from '../live/observable.ts'
import type { List } from './contract.ts'

export interface Pages<T> {
  items: readonly T[]
  phase: 'loading' | 'ready' | 'failed'
  error: Error | null
  /** There is more behind the last item. */
  more: boolean
  /** The next page is on its way. */
  busy: boolean
  loadMore: () => void
  /** Looks again from the top; what is shown stays until the answer came. */
  reload: () => void
  change: (change: (items: readonly T[]) => readonly T[]) => void
}

interface State<T> {
  key: string
  items: readonly T[]
  phase: Pages<T>['phase']
  error: Error | null
  cursor: string | null
}

export function usePages<T>(key: string, ask: (cursor: string | null, signal: AbortSignal) => Promise<List<T>>): Pages<T> {
  const { live, toasts } = useApp()
  const resync = useStore(live.resync, count => count)
  const [again, setAgain] = useState(0)
  const [busy, setBusy] = useState(false)
  const [state, setState] = useState<State<T>>({ key, items: [], phase: 'loading', error: null, cursor: null })
  const turn = useRef(new AbortController())
  // biome-ignore lint/correctness/useExhaustiveDependencies: `ask` is made anew on each render; `key` says when it means something else
  useEffect(() => {
    const stop = new AbortController()
    turn.current = stop
    setBusy(false)
    setState(current => (current.key === key ? current : { key, items: [], phase: 'loading', error: null, cursor: null }))
    ask(null, stop.signal)
      .then(page => {
        if (stop.signal.aborted) return
        setState({ key, items: page.data, phase: 'ready', error: null, cursor: page.next_cursor })
      })
      .catch(error => {
        if (!stop.signal.aborted)
          setState(current => ({ ...current, phase: current.phase === 'ready' ? 'ready' : 'failed', error: asError(error) }))
      })
    return () => stop.abort()
  }, [key, resync, again])

  async function loadMore() {
    const { signal } = turn.current
    if (busy || state.cursor === null) return
    setBusy(true)
    try {
      const page = await ask(state.cursor, signal)
      if (signal.aborted) return
      setState(current => ({ ...current, items: [...current.items, ...page.data], cursor: page.next_cursor }))
    } catch (error) {
      if (signal.aborted) return
      toasts.failed('No more could be loaded', error)
    }
    setBusy(false)
  }

  return {
    items: state.items,
    phase: state.key === key ? state.phase : 'loading',
    error: state.error,
    more: state.cursor !== null,
    busy,
    loadMore: () => void loadMore(),
    reload: () => setAgain(count => count + 1),
    change: change => setState(current => ({ ...current, items: change(current.items) })),
  }
}

const asError = (thrown: unknown) => (thrown instanceof Error ? thrown : new Error(String(thrown)))
