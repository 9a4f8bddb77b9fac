/**
 * The pages of a list that also changes by itself. Shown is what the live model knows and the filter matches, but nothing older than
 * the last loaded row: an older session that some other page loaded would otherwise stand there with a gap above it.
 */
import { useCallback, useEffect, useMemo, useState } from 'react'
import type { SessionFilter } from '../../api/client.ts'
import type { Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { wordFor } from '../../format/session-words.ts'
import { type Entities, newestFirst, refetched, valuesOf } from '../../live/entities.ts'
import { sameList, useStore } from '../../live/observable.ts'

export type Group = 'active' | 'ended' | 'all'

export interface ListFilter {
  group: Group
  template: string
  cluster: string
  text: string
}

interface Loaded {
  phase: 'loading' | 'ready' | 'failed'
  error: Error | null
  cursor: string | null
  /** The last row that was loaded, while there are more behind it. */
  edge: Session | null
  more: boolean
}

const pageSize = 48
const nothing: Loaded = { phase: 'loading', error: null, cursor: null, edge: null, more: false }

/** A session as it is shown: with what was just asked of it. */
export function shownSessions(state: Entities<Session>): Session[] {
  return valuesOf(state).map(session => {
    const pending = state.entries[session.id]?.pending
    return pending ? withStatus(session, pending as Session['status']) : session
  })
}

const overlaid = new WeakMap<Session, Map<string, Session>>()
/** The same object each time, so that rows do not redraw for nothing. */
function withStatus(session: Session, status: Session['status']): Session {
  const byStatus = overlaid.get(session) ?? new Map<string, Session>()
  overlaid.set(session, byStatus)
  const known = byStatus.get(status)
  if (known) return known
  const made: Session = { ...session, status, status_reason: null }
  byStatus.set(status, made)
  return made
}

export function inGroup(session: Session, group: Group): boolean {
  return group === 'all' || wordFor(session.status).live === (group === 'active')
}

export function matches(session: Session, filter: ListFilter): boolean {
  if (!inGroup(session, filter.group)) return false
  if (filter.template && session.template !== filter.template) return false
  if (filter.cluster && session.cluster !== filter.cluster) return false
  const labels = Object.entries(session.labels).map(([key, value]) => `${key}=${value}`)
  const hay = [session.name ?? '', session.id, session.user, session.start_url ?? '', ...labels].join('\n').toLowerCase()
  return filter.text
    .toLowerCase()
    .split(/\s+/)
    .every(word => hay.includes(word))
}

export function useSessionList(filter: ListFilter) {
  const { api, live } = useApp()
  const [loaded, setLoaded] = useState<Loaded>(nothing)
  const [again, setAgain] = useState(0)
  const resync = useStore(live.resync, count => count)
  const { group, template, cluster, text } = filter
  const query = useMemo<SessionFilter>(
    () => ({ ...(group === 'all' ? {} : { status: group }), ...(template ? { template } : {}), ...(cluster ? { cluster } : {}) }),
    [group, template, cluster],
  )

  const load = useCallback(
    async (cursor: string | null, signal?: AbortSignal) => {
      setLoaded(current => (cursor ? { ...current, phase: 'loading' } : { ...nothing, edge: current.edge, more: current.more }))
      const asOf = live.sessions.get().tick
      try {
        const page = await api.sessions(query, cursor, pageSize, signal)
        const edge = page.has_more ? (page.data.at(-1) ?? null) : null
        const covers = (session: Session) =>
          !cursor && matches(session, { group, template, cluster, text: '' }) && (!edge || newestFirst(session, edge) <= 0)
        live.sessions.update(state => refetched(state, page.data, asOf, covers))
        setLoaded({ phase: 'ready', error: null, cursor: page.next_cursor, edge, more: page.has_more })
      } catch (error) {
        if (signal?.aborted) return
        setLoaded(current => ({ ...current, phase: 'failed', error: error instanceof Error ? error : new Error(String(error)) }))
      }
    },
    [api, live, query, group, template, cluster],
  )

  // biome-ignore lint/correctness/useExhaustiveDependencies: `resync` and `again` only say that it is time to load anew
  useEffect(() => {
    const stop = new AbortController()
    void load(null, stop.signal)
    return () => stop.abort()
  }, [load, resync, again])

  const edge = loaded.edge
  const sessions = useStore(
    live.sessions,
    state =>
      shownSessions(state).filter(
        session => matches(session, { group, template, cluster, text }) && (!edge || newestFirst(session, edge) <= 0),
      ),
    sameList,
  )
  return {
    sessions,
    loaded,
    retry: () => setAgain(count => count + 1),
    loadMore: () => (loaded.cursor ? load(loaded.cursor) : Promise.resolve()),
  }
}
