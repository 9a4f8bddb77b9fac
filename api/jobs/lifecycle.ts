/**
 * The life of a job, as one total table: deleting a cell does not compile.
 *
 *   queued -> running -> succeeded | failed | canceled
 *     ^                            |
 *     +---------- retry -----------+        (a new attempt; delete is legal everywhere and not a state)
 *
 * A job that was placed on a cluster stays `queued` until its agent says that it runs: nobody knows earlier. `cancel` of a placed one is a wish
 * of desired state; what the agent then reports is the truth, also when the job succeeded before it could be stopped.
 */
import type { JobStatus } from '#db/schema.ts'

export const jobEvents = [
  /** Asked by a user while it waits in the queue, on no cluster. */
  'cancel_waiting',
  /** Asked by a user, or by its deadline, while a cluster has it. */
  'cancel_placed',
  /** A new attempt is asked for. */
  'retry',
  /** Seen by the agent, for the present attempt. */
  'seen_starting',
  'seen_running',
  'seen_stopping',
  'seen_succeeded',
  'seen_failed',
  'seen_canceled',
  /** Its cluster was removed. */
  'lose',
] as const
export type JobEvent = (typeof jobEvents)[number]

/** A next status; `same`: nothing to do, not an error; `illegal`: a conflict for users, ignored for reports. */
export type JobCell = JobStatus | 'same' | 'illegal'

export const jobLifecycle: Record<JobStatus, Record<JobEvent, JobCell>> = {
  queued: {
    cancel_waiting: 'canceled',
    cancel_placed: 'same',
    retry: 'illegal',
    seen_starting: 'same',
    seen_running: 'running',
    seen_stopping: 'same',
    seen_succeeded: 'succeeded',
    seen_failed: 'failed',
    seen_canceled: 'canceled',
    lose: 'failed',
  },
  running: {
    cancel_waiting: 'illegal',
    cancel_placed: 'same',
    retry: 'illegal',
    seen_starting: 'same',
    seen_running: 'same',
    seen_stopping: 'same',
    seen_succeeded: 'succeeded',
    seen_failed: 'failed',
    seen_canceled: 'canceled',
    lose: 'failed',
  },
  succeeded: {
    cancel_waiting: 'illegal',
    cancel_placed: 'illegal',
    retry: 'queued',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_succeeded: 'same',
    seen_failed: 'illegal',
    seen_canceled: 'illegal',
    lose: 'same',
  },
  failed: {
    cancel_waiting: 'illegal',
    cancel_placed: 'illegal',
    retry: 'queued',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_succeeded: 'illegal',
    seen_failed: 'same',
    seen_canceled: 'illegal',
    lose: 'same',
  },
  canceled: {
    cancel_waiting: 'same',
    cancel_placed: 'same',
    retry: 'queued',
    seen_starting: 'illegal',
    seen_running: 'illegal',
    seen_stopping: 'illegal',
    seen_succeeded: 'illegal',
    seen_failed: 'illegal',
    seen_canceled: 'same',
    lose: 'same',
  },
}

export const jobStatuses = Object.keys(jobLifecycle) as JobStatus[]
export const activeJobStatuses = ['queued', 'running'] as const satisfies JobStatus[]
export const finalJobStatuses = ['succeeded', 'failed', 'canceled'] as const satisfies JobStatus[]

export function isFinalJob(status: JobStatus): boolean {
  return (finalJobStatuses as readonly JobStatus[]).includes(status)
}
