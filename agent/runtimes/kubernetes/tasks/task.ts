/** What a task (work the agent does itself, against the API server) is given and what it answers. */
import type { Clock } from '#agent/clock.ts'
import type { JobCause, JobOutcome, JobResource } from '#protocol/job-spec.ts'
import type { PlaceObjects } from './place-objects.ts'

export interface TaskContext {
  job: string
  project: string
  agent: string
  objects: PlaceObjects
  clock: Clock
  /** Aborts when it was canceled, its time is over or the agent ends; `signal.reason` says which. */
  signal: AbortSignal
  log(line: string): void
  progress(percent: number | null, step: string): void
  resources(all: JobResource[]): void
  /** `pod/container` whose output is to be brought besides its own; those told before stay. */
  streams(all: string[]): void
  /** What must be known again after a kill: resolves once it is kept. */
  remember(value: unknown): Promise<void>
  /** null: nothing was. */
  remembered: unknown
}

export interface TaskEnd {
  outcome: JobOutcome
  cause: JobCause
  reason?: string
  result?: Record<string, unknown>
}

/** Told to end; the reason of the signal. */
export class Ended extends Error {
  readonly cause_: 'canceled' | 'deadline' | 'agent_stopped'
  constructor(cause: 'canceled' | 'deadline' | 'agent_stopped') {
    super(cause)
    this.cause_ = cause
  }
}

/** It cannot be done: a sentence for people, with what is worth keeping of it. */
export class TaskFailed extends Error {
  readonly result: Record<string, unknown> | undefined
  constructor(reason: string, result?: Record<string, unknown>) {
    super(reason)
    this.result = result
  }
}

export const succeeded = (result: Record<string, unknown>): TaskEnd => ({ outcome: 'succeeded', cause: 'exit', result })
