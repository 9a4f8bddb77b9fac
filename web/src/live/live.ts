/** The live model of everything on the page: objects, link state and recent events, fed by one event stream. */
import type { Cluster, Job, LiveEvent, Session } from '../api/contract.ts'
import { type Entities, gone, noEntities, told } from './entities.ts'
import { type EventStream, type LinkState, openEventStream } from './event-stream.ts'
import { createStore, type Store } from './observable.ts'

export interface Live {
  sessions: Store<Entities<Session>>
  clusters: Store<Entities<Cluster>>
  jobs: Store<Entities<Job>>
  link: Store<LinkState>
  /** Newest last, bounded. */
  events: Store<readonly LiveEvent[]>
  /** Rises each time the stream came back after a gap: lists are fetched anew. */
  resync: Store<number>
  start: (signal: AbortSignal) => void
}

const keptEvents = 500

export function createLive(parts: { fetch: typeof fetch; onSignedOut: () => void }): Live {
  const sessions = createStore(noEntities<Session>())
  const clusters = createStore(noEntities<Cluster>())
  const jobs = createStore(noEntities<Job>())
  const link = createStore<LinkState>({ phase: 'connecting', attempt: 1 })
  const events = createStore<readonly LiveEvent[]>([])
  const resync = createStore(0)
  let hadGap = false

  function onEvent(event: LiveEvent) {
    applyEvent(event, sessions, clusters, jobs)
    events.update(list => [...list.slice(1 - keptEvents), event])
  }

  function onState(state: LinkState) {
    if (state.phase === 'waiting') hadGap = true
    if (state.phase === 'live' && hadGap) {
      hadGap = false
      resync.update(count => count + 1)
    }
    link.set(state)
  }

  function start(signal: AbortSignal) {
    const onGap = () => resync.update(count => count + 1)
    const stream: EventStream = openEventStream({ url: '/v1/events', ...parts, onEvent, onState, onGap, signal })
    const wake = () => {
      if (document.visibilityState === 'visible') stream.wake()
    }
    window.addEventListener('online', wake, { signal })
    document.addEventListener('visibilitychange', wake, { signal })
  }

  return { sessions, clusters, jobs, link, events, resync, start }
}

/** Exported for its test: which object an event speaks of. */
export function applyEvent(
  event: LiveEvent,
  sessions: Store<Entities<Session>>,
  clusters: Store<Entities<Cluster>>,
  jobs: Store<Entities<Job>>,
): void {
  const [kind, happened] = event.type.split('.')
  if (kind === 'session') applyTo(sessions, happened, event.session, event.session_id)
  if (kind === 'job') applyTo(jobs, happened, event.job, event.job_id)
  if (kind === 'cluster') applyTo(clusters, happened, event.cluster, event.cluster_id)
}

function applyTo<T extends { id: string }>(
  store: Store<Entities<T>>,
  happened: string | undefined,
  value: T | null | undefined,
  id: string | null | undefined,
) {
  const gonner = value?.id ?? id
  if (happened === 'deleted') {
    if (gonner) store.update(state => gone(state, gonner))
  } else if (value?.id) store.update(state => told(state, value))
}
