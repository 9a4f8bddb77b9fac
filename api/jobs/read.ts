/** Reading jobs: always behind the project wall, never one that is being deleted. */
import { and, asc, desc, eq, inArray, ne, type SQL, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { clusters, type JobStatus, job_attempts, jobs } from '#db/schema.ts'
import { jobTypes } from '#protocol/job-spec.ts'
import { type Ctx, projectWall } from '../context.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { invalid, notFound } from '../problem.ts'
import { clusterOnline, labelFilter } from '../sessions/read.ts'
import { activeJobStatuses, finalJobStatuses, jobStatuses } from './lifecycle.ts'
import { queuePositions } from './queue.ts'
import type { Job, JobFilters, JobWithAttempts } from './schema.ts'
import { attemptView, type JobRow, jobView } from './view.ts'

interface Joined {
  row: JobRow
  online: boolean | null
}

function select(db: Sql) {
  return db.select({ row: jobs, online: clusterOnline }).from(jobs).leftJoin(clusters, eq(clusters.id, jobs.cluster_id))
}

function visible(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return and(ne(jobs.desired, 'deleted'), wall === null ? undefined : eq(jobs.project_id, wall))
}

/** The views of these rows; the queue is only looked at when one of them waits in it. */
async function viewsOf(db: Sql, found: Joined[], origin: string): Promise<Job[]> {
  const waits = found.some(({ row }) => row.status === 'queued' && row.cluster_id === null)
  const positions = waits ? await queuePositions(db) : new Map<string, number>()
  return found.map(({ row, online }) =>
    jobView(row, { online: online === true, position: positions.get(row.id) ?? null, origin }),
  )
}

/** The row, for verbs that go on from it. */
export async function findJob(ctx: Ctx, id: string, db: Sql = ctx.db): Promise<JobRow> {
  const [found] = await select(db)
    .where(and(eq(jobs.id, id), visible(ctx)))
    .limit(1)
  if (!found) throw notFound('job')
  return found.row
}

export async function getJob(ctx: Ctx, id: string): Promise<JobWithAttempts> {
  const [found] = await select(ctx.db)
    .where(and(eq(jobs.id, id), visible(ctx)))
    .limit(1)
  if (!found) throw notFound('job')
  const earlier = await ctx.db.select().from(job_attempts).where(eq(job_attempts.job_id, id)).orderBy(asc(job_attempts.attempt))
  const [view] = await viewsOf(ctx.db, [found], ctx.origin)
  return { ...view!, attempts: earlier.map(attemptView) }
}

/** As an event tells it: read inside the transaction of the change. */
export async function jobForEvent(db: Sql, id: string, origin: string): Promise<Job | null> {
  const found = await select(db).where(eq(jobs.id, id)).limit(1)
  return (await viewsOf(db, found, origin))[0] ?? null
}

export async function listJobs(ctx: Ctx, query: PageQuery & JobFilters) {
  const wall = projectWall(ctx)
  if (query.project && wall !== null && query.project !== wall) return page([], query.limit, () => null as never)
  const rows = await select(ctx.db)
    .where(
      and(
        visible(ctx),
        query.project ? eq(jobs.project_id, query.project) : undefined,
        query.status ? inArray(jobs.status, wantedStatuses(query.status)) : undefined,
        query.type ? inArray(jobs.type, wantedTypes(query.type)) : undefined,
        query.cluster ? sql`${query.cluster} in (${clusters.id}, ${clusters.name})` : undefined,
        query.user ? eq(jobs.user_id, query.user) : undefined,
        query.name ? eq(jobs.name, query.name) : undefined,
        query.labels ? sql`${jobs.labels} @> ${JSON.stringify(labelFilter(query.labels))}::jsonb` : undefined,
        afterCursor(query.cursor, jobs.created_at, jobs.id),
      ),
    )
    .orderBy(desc(jobs.created_at), desc(jobs.id))
    .limit(query.limit + 1)
  const views = new Map((await viewsOf(ctx.db, rows, ctx.origin)).map(view => [view.id, view]))
  return page(
    rows.map(({ row }) => row),
    query.limit,
    row => views.get(row.id)!,
  )
}

const words = (given: string) => given.split(',').map(word => word.trim())

function wantedStatuses(given: string): JobStatus[] {
  return words(given).flatMap(word => {
    if (word === 'active') return activeJobStatuses
    if (word === 'ended') return finalJobStatuses
    if ((jobStatuses as string[]).includes(word)) return [word as JobStatus]
    throw invalid(
      '?status',
      `Unknown status ${JSON.stringify(word.slice(0, 40))}: ${[...jobStatuses, 'active', 'ended'].join(', ')}.`,
    )
  })
}

function wantedTypes(given: string) {
  return words(given).map(word => {
    const type = jobTypes.find(each => each === word)
    if (!type) throw invalid('?type', `Unknown type ${JSON.stringify(word.slice(0, 40))}: ${jobTypes.join(', ')}.`)
    return type
  })
}
