/**
 * Takes over what an agent says of jobs, inside the transaction of its report, which has checked the epoch and locked the cluster. Fenced a
 * second time here: only the present attempt, only on this cluster, only while it is not over. So nothing wins twice.
 */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { type JobStatus, job_logs, jobs } from '#db/schema.ts'
import type { JobCause, ObservedJob } from '#protocol/job-spec.ts'
import { emitEvent } from '../events/emit.ts'
import type { Log } from '../platform.ts'
import { takeSeq } from '../sessions/desired.ts'
import { requeue } from './change.ts'
import { isFinalJob, type JobEvent, jobLifecycle } from './lifecycle.ts'
import { jobForEvent } from './read.ts'
import type { JobRow } from './view.ts'

interface ObserveEnv {
  log: Log
  origin: string
  /** The database's clock, epoch ms. */
  now: number
}

/** Answers the jobs that are over or gone now and were not before: there may be room for others. */
export async function applyJobs(tx: Tx, env: ObserveEnv, cluster: string, items: readonly ObservedJob[]): Promise<string[]> {
  if (items.length === 0) return []
  const rows = await tx
    .select()
    .from(jobs)
    .where(
      and(
        eq(jobs.cluster_id, cluster),
        inArray(
          jobs.id,
          items.map(item => item.id),
        ),
      ),
    )
    .orderBy(jobs.id)
    .for('update')
  const byId = new Map(rows.map(row => [row.id, row]))
  const settled: string[] = []
  for (const item of items) {
    const row = byId.get(item.id)
    if (row && row.attempt === item.attempt && (await applyJob(tx, env, row, item))) settled.push(row.id)
  }
  return settled
}

async function applyJob(tx: Tx, env: ObserveEnv, row: JobRow, item: ObservedJob): Promise<boolean> {
  if (item.phase === 'absent') return gone(tx, row)
  if (row.desired === 'released') return false
  const event = eventOf(item)
  const cell = jobLifecycle[row.status][event]
  if (cell === 'illegal') {
    env.log.warn('job_report_ignored', { job: row.id, status: row.status, event })
    return false
  }
  const next: JobStatus = cell === 'same' ? row.status : outcomeOf(row, cell)
  if (isFinalJob(row.status)) {
    if (item.log_complete) await letGo(tx, row)
    return false
  }
  const again = next === 'failed' && mayTryAgain(row, item)
  // The next attempt begins once nothing of this one is missing.
  if (again && !item.log_complete) return false
  const change = observed(row, item, next, env.now)
  await tx.update(jobs).set(change).where(eq(jobs.id, row.id))
  const over = isFinalJob(next)
  if (again) await requeue(tx, { ...row, ...change, ended_at: new Date(env.now) } as JobRow)
  else if (over && item.log_complete) await letGo(tx, row)
  if (next !== row.status || worthTelling(row, change))
    await emitEvent(tx, {
      type: 'job.updated',
      project: row.project_id,
      data: { job: await jobForEvent(tx, row.id, env.origin) },
    })
  return over
}

/** Nothing of it is left there. */
async function gone(tx: Tx, row: JobRow): Promise<boolean> {
  if (row.desired === 'deleted') {
    await tx.delete(jobs).where(eq(jobs.id, row.id))
    return !isFinalJob(row.status)
  }
  if (row.desired === 'finished') await tx.update(jobs).set({ desired: 'released' }).where(eq(jobs.id, row.id))
  return false
}

/** Its end is known and its log taken: the agent may clean up. A tombstone stays one. */
async function letGo(tx: Tx, row: JobRow): Promise<void> {
  if (row.desired !== 'running' && row.desired !== 'canceled') return
  await tx
    .update(job_logs)
    .set({ complete: true })
    .where(and(eq(job_logs.job_id, row.id), eq(job_logs.attempt, row.attempt)))
  await tx
    .update(jobs)
    .set({ desired: 'finished', change_seq: await takeSeq(tx, row.cluster_id!) })
    .where(eq(jobs.id, row.id))
}

function eventOf(item: ObservedJob): JobEvent {
  if (item.phase === 'starting') return 'seen_starting'
  if (item.phase === 'running') return 'seen_running'
  if (item.phase === 'stopping') return 'seen_stopping'
  return `seen_${item.outcome ?? 'failed'}`
}

/** What was canceled because of its deadline has failed by it. */
function outcomeOf(row: JobRow, next: JobStatus): JobStatus {
  return next === 'canceled' && row.cancel_cause === 'deadline' ? 'failed' : next
}

/** Never what was refused or asked to end: only what went wrong by itself. */
function mayTryAgain(row: JobRow, item: ObservedJob): boolean {
  const hopeless: (JobCause | undefined)[] = ['refused', 'canceled']
  return row.attempt < row.max_attempts && row.desired === 'running' && !hopeless.includes(item.cause)
}

function observed(row: JobRow, item: ObservedJob, next: JobStatus, now: number) {
  const over = isFinalJob(next)
  const byDeadline = over && next === 'failed' && row.cancel_cause === 'deadline' && item.outcome === 'canceled'
  return {
    status: next,
    status_reason: byDeadline ? `It ran longer than its ${row.timeout_seconds} s.` : (item.reason ?? null),
    seen: true,
    progress: item.progress,
    resources: item.resources,
    result: item.result,
    ...(item.started_age_ms !== null && row.started_at === null ? { started_at: new Date(now - item.started_age_ms) } : {}),
    ...(over
      ? {
          cause: byDeadline ? ('deadline' as const) : (item.cause ?? null),
          exit_code: item.exit_code,
          duration_ms: item.duration_ms === null ? null : Math.round(item.duration_ms),
          ended_at: sql`clock_timestamp()`,
        }
      : {}),
  }
}

function worthTelling(row: JobRow, change: Partial<Record<keyof JobRow, unknown>>): boolean {
  const fields = ['status_reason', 'progress', 'resources', 'result'] as const
  return fields.some(field => JSON.stringify(change[field] ?? null) !== JSON.stringify(row[field] ?? null))
}
