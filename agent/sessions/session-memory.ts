/**
 * What the agent must not forget about a session's generation: that it was begun, whether it ever ran, and how it ended. Kept in a small
 * file so that a new life of the agent neither runs a generation twice nor hides that an old life's instances died with it.
 */
import { z } from 'zod'
import { endCauses, type SessionSpec } from '#protocol/session-spec.ts'
import type { Clock } from '../clock.ts'

export interface Ending {
  cause: (typeof endCauses)[number]
  reason: string
}

export interface SessionMemory {
  generation: number
  /** Times this generation was begun since it last ran well; 0: not yet. */
  attempt: number
  /** Monotonic moment of the present attempt's beginning; the start timeout counts from it. */
  begunAt: number
  /** Since when the present attempt is seen running; null: not seen yet. */
  runningSince: number | null
  /** The present attempt was begun by this process, not by an earlier life of the agent. */
  ours: boolean
  /** Decided: whatever is left of this generation is being ended, or is gone, with this. Never taken back. */
  ending: Ending | null
  /** `restart: on_failure`: failures in a row, and when the next attempt may begin. */
  failures: number
  retryAt: number | null
  /** Why the last attempt failed; shown while the next one waits. */
  lastFailure: string | null
  /** Files removed after `deleted`. */
  forgotten: boolean
  /** Latest end by the cluster's own policy, whatever the API says; null: none. */
  capAt: number | null
  /** Last known limits: they hold also when nobody has told this life of the agent about the session yet. */
  deadline: number | null
  idleTimeoutMs: number | null
  /** The present attempt was begun for a pool, and its late settings were not applied yet. */
  warm: boolean
  /** With which settings it was begun warm; null also when an earlier life of the agent did. */
  warmSpec: SessionSpec | null
}

export function freshMemory(generation: number): SessionMemory {
  return {
    generation,
    attempt: 0,
    begunAt: 0,
    runningSince: null,
    ours: true,
    ending: null,
    failures: 0,
    retryAt: null,
    lastFailure: null,
    forgotten: false,
    capAt: null,
    deadline: null,
    idleTimeoutMs: null,
    warm: false,
    warmSpec: null,
  }
}

const StoredSession = z.object({
  generation: z.int().positive(),
  attempt: z.int().nonnegative(),
  ran: z.boolean(),
  ending: z.object({ cause: z.enum(endCauses), reason: z.string() }).nullable(),
  failures: z.int().nonnegative(),
  last_failure: z.string().nullable(),
  forgotten: z.boolean(),
  /** Wall clock: a deadline must outlive the process that knew it. */
  cap: z.number().nullable(),
  deadline: z.number().nullable(),
  idle_timeout_ms: z.number().nullable(),
  warm: z.boolean().default(false),
})
export const StoredState = z.object({
  /** Newest epoch ever accepted. */
  epoch: z.int().nonnegative(),
  sessions: z.record(z.string(), StoredSession),
})
export type StoredState = z.infer<typeof StoredState>

export function storedMemory(memory: SessionMemory, clock: Clock): z.infer<typeof StoredSession> {
  const onWall = (at: number | null) => (at === null ? null : Math.round(clock.wall() + at - clock.now()))
  return {
    generation: memory.generation,
    attempt: memory.attempt,
    ran: memory.runningSince !== null,
    ending: memory.ending,
    failures: memory.failures,
    last_failure: memory.lastFailure,
    forgotten: memory.forgotten,
    cap: onWall(memory.capAt),
    deadline: onWall(memory.deadline),
    idle_timeout_ms: memory.idleTimeoutMs,
    warm: memory.warm,
  }
}

/** Whether `storedMemory` says the same of both. */
export function storesTheSame(a: SessionMemory, b: SessionMemory): boolean {
  return (
    a.generation === b.generation &&
    a.attempt === b.attempt &&
    (a.runningSince === null) === (b.runningSince === null) &&
    a.ending?.cause === b.ending?.cause &&
    a.ending?.reason === b.ending?.reason &&
    a.failures === b.failures &&
    a.lastFailure === b.lastFailure &&
    a.forgotten === b.forgotten &&
    a.capAt === b.capAt &&
    a.deadline === b.deadline &&
    a.idleTimeoutMs === b.idleTimeoutMs &&
    a.warm === b.warm
  )
}

/** Read back by a new life: clocks start again, so the start timeout, the back-off and the idle time count from now. */
export function recalledMemory(stored: z.infer<typeof StoredSession>, clock: Clock): SessionMemory {
  const now = clock.now()
  const fromWall = (at: number | null) => (at === null ? null : now + at - clock.wall())
  return {
    ...freshMemory(stored.generation),
    attempt: stored.attempt,
    begunAt: now,
    runningSince: stored.ran ? now : null,
    ours: false,
    ending: stored.ending,
    failures: stored.failures,
    retryAt: stored.attempt === 0 && stored.failures > 0 ? now : null,
    lastFailure: stored.last_failure,
    forgotten: stored.forgotten,
    capAt: fromWall(stored.cap),
    deadline: fromWall(stored.deadline),
    idleTimeoutMs: stored.idle_timeout_ms,
    warm: stored.warm,
  }
}
