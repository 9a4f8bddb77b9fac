/** Verbs that register, change and remove clusters; drain.ts empties them. */
import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { clusters, grants, projects } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import { isUniqueViolation } from '../database-faults.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { loseJobs } from '../jobs/lose.ts'
import { invalid, Problem } from '../problem.ts'
import { drainSessions, loseSessions } from './drain.ts'
import { newEnrollment } from './enrollment.ts'
import { lockCluster } from './read.ts'
import type { Cluster, ClusterCreate, ClusterPatch, ClusterWithEnrollment } from './schema.ts'
import { type ClusterRow, clusterView } from './view.ts'

const usualEnrollment = 3600

/** Lets the unique index decide who has a name. */
async function nameTaken<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (isUniqueViolation(error, 'clusters_name'))
      throw new Problem('conflict', `There is a cluster ${JSON.stringify(name)} already.`)
    throw error
  }
}

export function createCluster(ctx: Ctx, input: ClusterCreate): Promise<ClusterWithEnrollment> {
  const wall = projectWall(ctx)
  if (input.project && wall !== null && input.project !== wall) {
    throw new Problem('forbidden', 'Only an admin registers clusters for another project.')
  }
  const project = wall ?? input.project ?? null
  const work = ctx.db.transaction(async tx => {
    if (project !== null) {
      const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, project))
      if (!known) throw invalid('/project', 'There is no such project.')
    }
    const [row] = await tx
      .insert(clusters)
      .values({ id: newId('clu'), project_id: project, name: input.name, labels: input.labels })
      .returning()
    const enrollment = await newEnrollment(tx, ctx, row!.id, usualEnrollment)
    return { ...(await told(tx, ctx, row!, 'create', { name: input.name })), enrollment }
  })
  return nameTaken(input.name, work)
}

/** A new join token; the enrolled agent, if any, goes on until the token is used. */
export function enrollCluster(ctx: Ctx, id: string, seconds: number): Promise<ClusterWithEnrollment> {
  return ctx.db.transaction(async tx => {
    const row = await lockCluster(ctx, tx, id)
    const enrollment = await newEnrollment(tx, ctx, id, seconds)
    return { ...(await told(tx, ctx, row, 'enroll', { expires_at: enrollment.expires_at })), enrollment }
  })
}

export async function patchCluster(ctx: Ctx, id: string, input: ClusterPatch): Promise<Cluster> {
  const work = ctx.db.transaction(async tx => {
    const row = await lockCluster(ctx, tx, id)
    const { name, labels, scheduling } = input
    const [next] = await tx
      .update(clusters)
      .set({ name: name ?? row.name, labels: labels ?? row.labels, scheduling: scheduling ?? row.scheduling })
      .where(eq(clusters.id, id))
      .returning()
    const streams = scheduling === 'draining' ? await drainSessions(tx, ctx, next!) : []
    return {
      cluster: await told(tx, ctx, next!, 'update', { fields: Object.keys(input), ...(scheduling ? { scheduling } : {}) }),
      streams,
    }
  })
  const { cluster, streams } = await nameTaken(input.name ?? '', work)
  await ctx.afterCommit(async () => {
    if (input.scheduling === 'draining') await ctx.tunnel.nudge(id)
    if (streams.length > 0) await ctx.tunnel.end(streams, 'target_ended', 'the cluster is drained')
  })
  return cluster
}

/** With `force`, what lived there is told as failed: nobody can say any more what became of it. */
export async function deleteCluster(ctx: Ctx, id: string, force: boolean): Promise<void> {
  const streams = await ctx.db.transaction(async tx => {
    const row = await lockCluster(ctx, tx, id)
    const open = await tx
      .select({ id: grants.id })
      .from(grants)
      .where(and(eq(grants.cluster_id, id), isNull(grants.closed_at)))
    const lost = await loseSessions(tx, ctx, row, force)
    const jobsLost = await loseJobs(tx, ctx, row, force)
    const cluster = clusterView(row, await databaseNow(tx))
    await tx.delete(clusters).where(eq(clusters.id, id))
    await recordAudit(tx, ctx, {
      action: 'cluster.delete',
      target: id,
      project: row.project_id,
      detail: { name: row.name, sessions_lost: lost, jobs_lost: jobsLost },
    })
    await emitEvent(tx, { type: 'cluster.deleted', project: row.project_id, data: { cluster } })
    return open.map(grant => grant.id)
  })
  await ctx.afterCommit(async () => {
    await ctx.tunnel.nudge(id)
    if (streams.length > 0) await ctx.tunnel.end(streams, 'target_ended', 'the cluster was removed')
  })
}

async function told(tx: Tx, ctx: Ctx, row: ClusterRow, verb: string, detail: Record<string, unknown>): Promise<Cluster> {
  const cluster = clusterView(row, await databaseNow(tx))
  await recordAudit(tx, ctx, { action: `cluster.${verb}`, target: row.id, project: row.project_id, detail })
  await emitEvent(tx, {
    type: verb === 'create' ? 'cluster.created' : 'cluster.updated',
    project: row.project_id,
    data: { cluster },
  })
  return cluster
}

/** Join tokens nobody will use any more. Call it about once an hour. */
export async function sweepEnrollments(db: Ctx['db']): Promise<void> {
  await db.execute(sql`delete from enrollments where expires_at < clock_timestamp() - interval '7 days'`)
}
