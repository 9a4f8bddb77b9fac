/** Row -> the JSON of a job. What is not known is said: one on an offline cluster is as it was last heard of, with a reason that says so. */
import type { InferSelectModel } from 'drizzle-orm'
import type { job_attempts, jobs } from '#db/schema.ts'
import { shownSpec } from './kept-spec.ts'
import { isFinalJob } from './lifecycle.ts'
import type { Job, JobWithAttempts } from './schema.ts'

export type JobRow = InferSelectModel<typeof jobs>
export type AttemptRow = InferSelectModel<typeof job_attempts>

export interface JobAround {
  /** Whether its cluster has a live link now. */
  online: boolean
  /** Place in the queue, from 1; null unless it waits there. */
  position: number | null
  origin: string
}

const iso = (at: Date | null) => at?.toISOString() ?? null
const seconds = (ms: number | null) => (ms === null ? null : Math.round(ms) / 1000)

export function jobView(row: JobRow, around: JobAround): Job {
  const over = isFinalJob(row.status)
  const offline = !over && row.cluster_id !== null && !around.online
  return {
    id: row.id,
    object: 'job',
    type: row.type,
    name: row.name,
    project: row.project_id,
    user: row.user_id,
    status: row.status,
    status_reason: offline ? 'Its cluster is offline; nobody knows how it goes.' : row.status_reason,
    canceling: !over && row.desired === 'canceled',
    cause: row.cause,
    exit_code: row.exit_code,
    attempt: row.attempt,
    max_attempts: row.max_attempts,
    cluster: row.cluster_id,
    priority: row.priority,
    labels: row.labels,
    limits: row.resources_given,
    timeout_seconds: row.timeout_seconds,
    spec: shownSpec(row.spec),
    progress: row.progress,
    resources: row.resources,
    result: row.result,
    duration_seconds: seconds(row.duration_ms),
    queue:
      row.status === 'queued' && row.cluster_id === null
        ? { position: around.position ?? 1, reason: row.status_reason ?? 'Waiting for a cluster.' }
        : null,
    created_at: row.created_at.toISOString(),
    started_at: iso(row.started_at),
    ended_at: iso(row.ended_at),
    urls: { logs: `${around.origin}/v1/jobs/${row.id}/logs` },
  }
}

export function attemptView(row: AttemptRow): JobWithAttempts['attempts'][number] {
  return {
    attempt: row.attempt,
    cluster: row.cluster_id,
    status: row.status,
    status_reason: row.status_reason,
    cause: row.cause,
    exit_code: row.exit_code,
    duration_seconds: seconds(row.duration_ms),
    started_at: iso(row.started_at),
    ended_at: iso(row.ended_at),
  }
}
