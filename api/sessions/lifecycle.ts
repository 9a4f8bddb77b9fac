/**
 * The life of a session, as one total table: deleting a cell does not compile.
 *
 *   queued -> starting -> running -> stopping -> stopped | failed | expired
 *                ^                                  |
 *                +------------- start --------------+      (failed and expired are final; delete is legal everywhere and not a state)
 *
 * Verbs and reports ask for an event; the UPDATE carries `movedBy(event)` in its WHERE, so that two writers never both win.
 */
import type { SessionStatus } from '#db/schema.ts'

export const lifecycleEvents = [
  /** A cluster was found. */
  'placed',
  /** Asked by a user. */
  'stop',
  'start',
  'restart',
  /** Its time is over (TTL). */
  'expire',
  /** Seen by the agent, for the current generation. */
  'seen_starting',
  'seen_running',
  'seen_stopping',
  'seen_stopped',
  'seen_expired',
  'seen_failed',
] as const
export type LifecycleEvent = (typeof lifecycleEvents)[number]

/** A next status; `same`: nothing to do, not an error; `illegal`: a conflict for users, ignored for reports. */
export type Cell = SessionStatus | 'same' | 'illegal'

export const lifecycle: Record<SessionStatus, Record<LifecycleEvent, Cell>> = {
  queued: {
    placed: 'starting',
    stop: 'stopped',
    start: 'same',
    restart: 'same',
    expire: 'expired',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_stopped: 'illegal',
    seen_expired: 'illegal',
    seen_failed: 'illegal',
  },
  starting: {
    placed: 'illegal',
    stop: 'stopping',
    start: 'same',
    restart: 'starting',
    expire: 'stopping',
    seen_starting: 'same',
    seen_running: 'running',
    seen_stopping: 'stopping',
    seen_stopped: 'stopped',
    seen_expired: 'expired',
    seen_failed: 'failed',
  },
  running: {
    placed: 'illegal',
    stop: 'stopping',
    start: 'same',
    restart: 'starting',
    expire: 'stopping',
    /** `restart: on_failure`: the agent began the next attempt of this generation. */
    seen_starting: 'starting',
    seen_running: 'same',
    seen_stopping: 'stopping',
    seen_stopped: 'stopped',
    seen_expired: 'expired',
    seen_failed: 'failed',
  },
  stopping: {
    placed: 'illegal',
    stop: 'same',
    /** Asked to run again before it was gone: a new generation follows the old one. */
    start: 'starting',
    restart: 'starting',
    expire: 'same',
    seen_starting: 'same',
    seen_running: 'same',
    seen_stopping: 'same',
    seen_stopped: 'stopped',
    seen_expired: 'expired',
    seen_failed: 'failed',
  },
  stopped: {
    placed: 'illegal',
    stop: 'same',
    start: 'starting',
    restart: 'starting',
    expire: 'same',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_stopped: 'same',
    seen_expired: 'same',
    seen_failed: 'same',
  },
  failed: {
    placed: 'illegal',
    stop: 'same',
    start: 'illegal',
    restart: 'illegal',
    expire: 'same',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_stopped: 'same',
    seen_expired: 'same',
    seen_failed: 'same',
  },
  expired: {
    placed: 'illegal',
    stop: 'same',
    start: 'illegal',
    restart: 'illegal',
    expire: 'same',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_stopped: 'same',
    seen_expired: 'same',
    seen_failed: 'same',
  },
}

export const sessionStatuses = Object.keys(lifecycle) as SessionStatus[]
/** Still holds quota and a name. */
export const liveStatuses = ['queued', 'starting', 'running', 'stopping'] as const satisfies SessionStatus[]
export const finalStatuses = ['stopped', 'failed', 'expired'] as const satisfies SessionStatus[]

export function isFinal(status: SessionStatus): boolean {
  return (finalStatuses as readonly SessionStatus[]).includes(status)
}

/** Statuses that an event moves on: the `status in (…)` of its UPDATE. */
export function movedBy(event: LifecycleEvent): SessionStatus[] {
  return sessionStatuses.filter(status => !['same', 'illegal'].includes(lifecycle[status][event]))
}
