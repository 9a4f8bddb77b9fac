/** What becomes of a cluster's jobs when it is removed. Inside the transaction of that change, which has locked the cluster. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { jobs } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { Problem } from '../problem.ts'
import { activeJobStatuses } from './lifecycle.ts'
import { jobForEvent } from './read.ts'

/** Those that were not over have failed as `lost`: refused unless forced. Answers how many. */
export async function loseJobs(tx: Tx, ctx: Ctx, cluster: { id: string; name: string }, force: boolean): Promise<number> {
  const here = eq(jobs.cluster_id, cluster.id)
  const active = await tx
    .select({ id: jobs.id, project: jobs.project_id, desired: jobs.desired })
    .from(jobs)
    .where(and(here, inArray(jobs.status, [...activeJobStatuses])))
    .orderBy(jobs.id)
    .for('update')
  if (active.some(job => job.desired !== 'deleted') && !force)
    throw new Problem('conflict', `${active.length} jobs are there: wait for their end or cancel them, or add ?force=true.`)
  await tx.delete(jobs).where(and(here, eq(jobs.desired, 'deleted')))
  await tx
    .update(jobs)
    .set({
      status: 'failed',
      cause: 'lost',
      status_reason: `Its cluster ${cluster.name} was removed while it had the job.`,
      ended_at: sql`clock_timestamp()`,
      desired: 'released',
      cluster_id: null,
    })
    .where(and(here, inArray(jobs.status, [...activeJobStatuses])))
  await tx.update(jobs).set({ cluster_id: null, desired: 'released' }).where(here)
  const lost = active.filter(job => job.desired !== 'deleted')
  for (const { id, project } of lost) {
    await recordAudit(tx, ctx, { action: 'job.lose', target: id, project, detail: { cluster: cluster.id } })
    await emitEvent(tx, { type: 'job.updated', project, data: { job: await jobForEvent(tx, id, ctx.origin) } })
  }
  return lost.length
}
