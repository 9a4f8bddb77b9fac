/** What users change about jobs: cancel, retry, delete. Locks in the order project, cluster, job, as everywhere. */
import { and, eq, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { clusters, job_attempts, jobs } from '#db/schema.ts'
import { undoableTypes } from '#protocol/job-spec.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { notFound, Problem } from '../problem.ts'
import { takeSeq } from '../sessions/desired.ts'
import { keepUpload } from '../uploads/service.ts'
import { placeAndNudge, requireTypeScope } from './create.ts'
import { isFinalJob, jobLifecycle } from './lifecycle.ts'
import { getJob, jobForEvent } from './read.ts'
import type { JobWithAttempts } from './schema.ts'
import type { JobRow } from './view.ts'

/** Locks the job the actor may see, and its cluster before it. */
async function lockJob(tx: Tx, ctx: Ctx, id: string): Promise<JobRow> {
  const wall = projectWall(ctx)
  const [seen] = await tx.select({ cluster_id: jobs.cluster_id }).from(jobs).where(eq(jobs.id, id))
  if (seen?.cluster_id)
    await tx.select({ id: clusters.id }).from(clusters).where(eq(clusters.id, seen.cluster_id)).for('no key update')
  const [row] = await tx.select().from(jobs).where(eq(jobs.id, id)).for('update')
  if (!row || row.desired === 'deleted' || (wall !== null && row.project_id !== wall)) throw notFound('job')
  if (row.cluster_id !== seen?.cluster_id) throw new Problem('conflict', 'The job was being placed at this moment; try again.')
  return row
}

async function tell(tx: Tx, ctx: Ctx, row: JobRow, action: string, detail?: Record<string, unknown>): Promise<void> {
  await recordAudit(tx, ctx, { action, target: row.id, project: row.project_id, ...(detail ? { detail } : {}) })
  await emitEvent(tx, { type: 'job.updated', project: row.project_id, data: { job: await jobForEvent(tx, row.id, ctx.origin) } })
}

export async function cancelJob(ctx: Ctx, id: string): Promise<JobWithAttempts> {
  const cluster = await ctx.db.transaction(async tx => {
    const row = await lockJob(tx, ctx, id)
    const cell = jobLifecycle[row.status][row.cluster_id ? 'cancel_placed' : 'cancel_waiting']
    if (isFinalJob(row.status)) {
      if (row.status === 'canceled') return null
      throw new Problem('conflict', `The job has ${row.status} already.`)
    }
    if (cell === 'canceled') {
      await tx
        .update(jobs)
        .set({
          status: 'canceled',
          cause: 'canceled',
          status_reason: 'Canceled before it had a cluster.',
          ended_at: sql`clock_timestamp()`,
          desired: 'released',
        })
        .where(eq(jobs.id, id))
    } else {
      if (row.desired === 'canceled') return null
      await tx
        .update(jobs)
        .set({ desired: 'canceled', cancel_cause: 'canceled', change_seq: await takeSeq(tx, row.cluster_id!) })
        .where(eq(jobs.id, id))
    }
    await tell(tx, ctx, row, 'job.cancel')
    return row.cluster_id
  })
  if (cluster) await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))
  return getJob(ctx, id)
}

/** A new attempt of a job that is over. */
export async function retryJob(ctx: Ctx, id: string, options: { force: boolean }): Promise<JobWithAttempts> {
  await ctx.db.transaction(async tx => {
    const row = await lockJob(tx, ctx, id)
    requireTypeScope(ctx, row.type)
    if (jobLifecycle[row.status].retry !== 'queued')
      throw new Problem('conflict', `The job is ${row.status}; it can be tried again once it is over.`)
    if (row.status === 'succeeded' && !options.force)
      throw new Problem('conflict', 'The job has succeeded; add {"force": true} to run it again.')
    const sent = row.spec.type === 'build' ? row.spec.source.upload : null
    if (sent && !(await keepUpload(tx, row.project_id, sent.id)))
      throw new Problem('conflict', 'What it was built from is not kept any more: send it again, and make a new job.')
    await requeue(tx, row)
    await tell(tx, ctx, row, 'job.retry', { attempt: row.attempt + 1 })
  })
  await ctx.afterCommit(() => placeAndNudge(ctx))
  return getJob(ctx, id)
}

/** Puts what is known of this attempt aside and the job at the end of the queue. Its row is locked. */
export async function requeue(tx: Tx, row: JobRow): Promise<void> {
  await tx
    .insert(job_attempts)
    .values({
      job_id: row.id,
      attempt: row.attempt,
      cluster_id: row.cluster_id,
      status: row.status,
      status_reason: row.status_reason,
      cause: row.cause,
      exit_code: row.exit_code,
      result: row.result,
      duration_ms: row.duration_ms,
      started_at: row.started_at,
      ended_at: row.ended_at,
    })
    .onConflictDoNothing()
  await tx
    .update(jobs)
    .set({
      attempt: row.attempt + 1,
      status: 'queued',
      status_reason: null,
      cause: null,
      exit_code: null,
      progress: null,
      resources: [],
      result: null,
      duration_ms: null,
      cluster_id: null,
      desired: 'running',
      cancel_cause: null,
      change_seq: 0,
      seen: false,
      queued_at: sql`clock_timestamp()`,
      placed_at: null,
      started_at: null,
      ended_at: null,
    })
    .where(and(eq(jobs.id, row.id), eq(jobs.attempt, row.attempt)))
}

/**
 * Legal from every state and always wins: a running one is ended, what an undoable one made is removed. The row stays as a tombstone, and holds
 * its quota, until the agent has reported that nothing is left.
 */
export async function deleteJob(ctx: Ctx, id: string): Promise<void> {
  const cluster = await ctx.db.transaction(async tx => {
    const row = await lockJob(tx, ctx, id)
    requireTypeScope(ctx, row.type)
    const job = await jobForEvent(tx, id, ctx.origin)
    await recordAudit(tx, ctx, { action: 'job.delete', target: id, project: row.project_id })
    await emitEvent(tx, { type: 'job.deleted', project: row.project_id, data: { job } })
    return deleteRow(tx, row)
  })
  if (cluster) await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))
}

/** Answers the cluster that has to clean up first; null: the row is gone. */
export async function deleteRow(tx: Tx, row: JobRow): Promise<string | null> {
  const nothingLeft = row.cluster_id === null || (row.desired === 'released' && !undoableTypes.includes(row.type))
  if (nothingLeft) {
    await tx.delete(jobs).where(eq(jobs.id, row.id))
    return null
  }
  await tx
    .update(jobs)
    .set({ desired: 'deleted', change_seq: await takeSeq(tx, row.cluster_id!) })
    .where(eq(jobs.id, row.id))
  return row.cluster_id
}
