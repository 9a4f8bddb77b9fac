/**
 * The queue: which waiting job is next, and giving it its place. Projects take turns (the one with the fewest jobs in clusters first), within a
 * project the higher priority, then the older. A place is taken under locks in the order project, cluster, job, and counted again there: of any
 * number of racers only as many get through as `max_jobs`, the project's cpu and memory, and the cluster's capacity allow.
 */
import { and, asc, eq, isNull, or, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { clusters, jobs, projects } from '#db/schema.ts'
import type { Never } from '../clusters/placement.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { usageOf } from '../projects/quotas.ts'
import { takeSeq } from '../sessions/desired.ts'
import { clusterOnline } from '../sessions/read.ts'
import { bytesQuantity, cpuQuantity } from '../templates/quantity.ts'
import { chooseCluster, type JobCandidate, jobRoom } from './choose.ts'
import { jobForEvent } from './read.ts'

type JobRow = typeof jobs.$inferSelect
interface Candidate extends JobCandidate {
  project: string | null
}

/** A cluster has it and it is not over. */
export const holding = sql`${jobs.status} in ('queued', 'running') and ${jobs.cluster_id} is not null`
/** It waits for a cluster. */
export const waiting = sql`${jobs.status} = 'queued' and ${jobs.cluster_id} is null and ${jobs.desired} = 'running'`
/** Jobs looked at in one round. */
const longestLook = 2_000

const inOrder = sql`
  select id, project_id, type, placement, row_number() over (order by turn, queued_at, id)::int as position from (
    select j.id, j.project_id, j.type, j.placement, j.queued_at,
      row_number() over (partition by j.project_id order by j.priority desc, j.queued_at, j.id)
        + (select count(*) from jobs h where h.project_id = j.project_id and h.cluster_id is not null and h.status in ('queued', 'running')) as turn
    from jobs j where j.status = 'queued' and j.cluster_id is null and j.desired = 'running') waiting`

/** Place of each waiting job in the queue of the whole installation, from 1. */
export async function queuePositions(db: Sql): Promise<Map<string, number>> {
  const rows = await db.execute<{ id: string; position: number }>(sql`select id, position from (${inOrder}) q`)
  return new Map(rows.map(row => [row.id, row.position]))
}

/** Answers the clusters that got something. Safe on every replica at once. */
export async function placeJobs(ctx: Pick<Ctx, 'db' | 'origin'>): Promise<string[]> {
  const queue = await ctx.db.execute<Pick<JobRow, 'id' | 'project_id' | 'type' | 'placement'>>(
    sql`select id, project_id, type, placement from (${inOrder}) q order by position limit ${longestLook}`,
  )
  if (queue.length === 0) return []
  const all = await candidates(ctx.db)
  const served = new Set<string>()
  const full = new Set<string>()
  for (const job of queue) {
    const { project_id: project } = job
    if (full.has(project)) continue
    const choice = chooseCluster(usable(all, project), { type: job.type, ...job.placement })
    if (!('cluster' in choice)) {
      await giveReason(ctx, job.id, 'queue' in choice ? choice.queue : choice.never)
      continue
    }
    const placed = await placeOne(ctx, job.id, project, choice.cluster)
    if (placed === 'project full') full.add(project)
    const candidate = all.find(each => each.id === choice.cluster)!
    if (placed === 'placed') {
      candidate.jobs++
      served.add(choice.cluster)
    } else if (placed === 'cluster full') candidate.jobs = jobRoom(candidate.capabilities)
  }
  return [...served]
}

/** Whether any cluster of the project could ever run it; else why not. */
export async function neverRuns(db: Sql, project: string, wish: Parameters<typeof chooseCluster>[1]): Promise<Never | null> {
  const choice = chooseCluster(usable(await candidates(db), project), wish)
  return 'never' in choice ? choice : null
}

const usable = (all: Candidate[], project: string) => all.filter(each => each.project === null || each.project === project)

async function candidates(db: Sql): Promise<Candidate[]> {
  const rows = await db
    .select({
      cluster: clusters,
      online: clusterOnline,
      jobs: sql`(select count(*) from jobs j where j.cluster_id = ${clusters}.id and j.status in ('queued', 'running'))`.mapWith(
        Number,
      ),
    })
    .from(clusters)
    .orderBy(asc(clusters.id))
  return rows.map(({ cluster, online, jobs }) => ({
    id: cluster.id,
    name: cluster.name,
    labels: cluster.labels,
    scheduling: cluster.scheduling,
    online: online === true,
    capabilities: cluster.capabilities,
    project: cluster.project_id,
    jobs,
  }))
}

type Placed = 'placed' | 'project full' | 'cluster full' | 'gone'

async function placeOne(ctx: Pick<Ctx, 'db' | 'origin'>, id: string, project: string, cluster: string): Promise<Placed> {
  return ctx.db.transaction(async tx => {
    const [owner] = await tx.select({ quotas: projects.quotas }).from(projects).where(eq(projects.id, project)).for('update')
    const [job] = await tx
      .select()
      .from(jobs)
      .where(and(eq(jobs.id, id), waiting))
    if (!owner || !job) return 'gone'
    const over = await overQuota(tx, owner.quotas, job)
    if (over) {
      await tx.update(jobs).set({ status_reason: over }).where(eq(jobs.id, id))
      return 'project full'
    }
    const seq = await takeSeq(tx, cluster)
    const [here] = await tx
      .select({ capabilities: clusters.capabilities, scheduling: clusters.scheduling })
      .from(clusters)
      .where(eq(clusters.id, cluster))
    const held = await tx.$count(jobs, and(eq(jobs.cluster_id, cluster), holding))
    if (here?.scheduling !== 'open' || held >= jobRoom(here.capabilities)) return 'cluster full'
    const [placed] = await tx
      .update(jobs)
      .set({
        cluster_id: cluster,
        change_seq: seq,
        placed_at: sql`clock_timestamp()`,
        seen: false,
        status_reason: 'A cluster has it; it starts there.',
      })
      .where(and(eq(jobs.id, id), waiting))
      .returning({ id: jobs.id })
    if (!placed) return 'gone'
    await emitEvent(tx, { type: 'job.updated', project, data: { job: await jobForEvent(tx, id, ctx.origin) } })
    return 'placed'
  })
}

/** Why the project may not have one more in a cluster now; null: it may. */
async function overQuota(tx: Tx, quotas: typeof projects.$inferSelect.quotas, job: JobRow): Promise<string | null> {
  const { max_jobs, max_cpu_millis, max_memory_bytes } = quotas
  if (max_jobs !== null && max_jobs !== undefined) {
    const held = await tx.$count(jobs, and(eq(jobs.project_id, job.project_id), holding))
    if (held >= max_jobs) return `Waiting: ${held} of max_jobs ${max_jobs} of its project are in clusters.`
  }
  if ((max_cpu_millis ?? null) === null && (max_memory_bytes ?? null) === null) return null
  const used = await usageOf(tx, job.project_id)
  if (max_cpu_millis !== null && used.cpu_millis + job.cpu_millis > max_cpu_millis)
    return `Waiting: its project has ${cpuQuantity(used.cpu_millis)} of max_cpu ${cpuQuantity(max_cpu_millis)} in use.`
  if (max_memory_bytes !== null && used.memory_bytes + job.memory_bytes > max_memory_bytes)
    return `Waiting: its project has ${bytesQuantity(used.memory_bytes)} of max_memory ${bytesQuantity(max_memory_bytes)} in use.`
  return null
}

async function giveReason(ctx: Pick<Ctx, 'db'>, id: string, reason: string): Promise<void> {
  await ctx.db
    .update(jobs)
    .set({ status_reason: reason })
    .where(and(eq(jobs.id, id), waiting, or(isNull(jobs.status_reason), sql`${jobs.status_reason} <> ${reason}`)))
}
