/**
 * What no request does: gives waiting jobs their places, ends those whose deadline is long over (the agent and the cluster do the same on their
 * own; this is the wall behind them), and forgets what is old. Idempotent; every replica may run it.
 */
import { and, eq, inArray, lt, or, sql } from 'drizzle-orm'
import { jobs } from '#db/schema.ts'
import { emitEvent } from '../events/emit.ts'
import { takeSeq } from '../sessions/desired.ts'
import type { SweepEnv } from '../sessions/sweep.ts'
import { deleteRow } from './change.ts'
import { finalJobStatuses } from './lifecycle.ts'
import { placeJobs } from './queue.ts'
import { jobForEvent } from './read.ts'

/** Seconds that jobs and their logs are kept after their end. */
export const jobRetention = 7 * 86_400
/** Past deadline and grace: for the agent to say so itself. */
const margin = { running: 60, starting: 900 }

/** Every second or two. */
export async function sweepJobs(env: SweepEnv): Promise<void> {
  const touched = new Set(await placeJobs(env))
  for (const cluster of await endOverdue(env)) touched.add(cluster)
  for (const cluster of touched) await env.tunnel.nudge(cluster)
}

async function endOverdue(env: SweepEnv): Promise<string[]> {
  const late = (from: typeof jobs.started_at, more: number) =>
    sql`${from} + make_interval(secs => ${jobs.timeout_seconds} + ${jobs.grace_seconds} + ${more}) < clock_timestamp()`
  const overdue = and(
    inArray(jobs.status, ['queued', 'running']),
    eq(jobs.desired, 'running'),
    sql`${jobs.cluster_id} is not null`,
    or(late(jobs.started_at, margin.running), and(sql`${jobs.started_at} is null`, late(jobs.placed_at, margin.starting))),
  )
  const rows = await env.db.select({ id: jobs.id, cluster: jobs.cluster_id }).from(jobs).where(overdue).limit(200)
  for (const { id, cluster } of rows) {
    await env.db.transaction(async tx => {
      const seq = await takeSeq(tx, cluster!)
      const [row] = await tx
        .update(jobs)
        .set({ desired: 'canceled', cancel_cause: 'deadline', change_seq: seq })
        .where(and(eq(jobs.id, id), eq(jobs.cluster_id, cluster!), overdue))
        .returning()
      if (!row) return
      await emitEvent(tx, { type: 'job.updated', project: row.project_id, data: { job: await jobForEvent(tx, id, env.origin) } })
    })
  }
  return rows.map(row => row.cluster!)
}

/** Every few minutes: ended jobs past retention go as if a user had deleted them, but what they made stays. */
export async function sweepOldJobs(env: SweepEnv): Promise<void> {
  const old = await env.db
    .select({ id: jobs.id })
    .from(jobs)
    .where(
      and(
        inArray(jobs.status, [...finalJobStatuses]),
        or(eq(jobs.desired, 'released'), sql`${jobs.cluster_id} is null`),
        lt(jobs.ended_at, sql`clock_timestamp() - make_interval(secs => ${jobRetention})`),
      ),
    )
    .limit(500)
  for (const { id } of old)
    await env.db.transaction(async tx => {
      const [row] = await tx.select().from(jobs).where(eq(jobs.id, id)).for('update')
      if (row && row.ended_at !== null) await deleteRow(tx, { ...row, cluster_id: null })
    })
}
