/** One transaction writes the row, its audit and its event; then the queue is looked at, so that a job for which there is room goes at once. */
import { and, eq, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { jobs, projects } from '#db/schema.ts'
import { type JobSpec, type JobType, secretNamesOf } from '#protocol/job-spec.ts'
import { recordAudit } from '../audit/record.ts'
import { neverProblem } from '../clusters/placement.ts'
import { type Ctx, holds, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { requireSecrets } from '../secrets/service.ts'
import { keepUpload } from '../uploads/service.ts'
import { keptSpec } from './kept-spec.ts'
import { neverRuns, placeJobs, waiting } from './queue.ts'
import { jobForEvent } from './read.ts'
import type { Job, JobCreate } from './schema.ts'
import { type BuiltJob, buildJob } from './spec.ts'

/** Jobs of one project that may wait at one time. */
export const longestQueue = 1_000
const defaults = { timeout_seconds: 3600, grace_seconds: 10 }

export async function createJob(ctx: Ctx, input: JobCreate): Promise<Job> {
  requireTypeScope(ctx, input.type)
  return enqueueJob(ctx, input, buildJob(input))
}

/** Types that act on what runs in a cluster need a scope that is in no preset. */
export function requireTypeScope(ctx: Ctx, type: JobType): void {
  if ((type === 'manifest' || type === 'deploy') && !holds(ctx.actor, 'manifests'))
    throw new Problem('forbidden', 'This token lacks the scope manifests.')
}

/** Queues a job that has been put into the agent's words. */
export async function enqueueJob(ctx: Ctx, input: JobWords, built: BuiltJob): Promise<Job> {
  const actor = tokenActor(ctx)
  const kept = await keptSpec(ctx.config, actor.project, built.spec)
  const placement = {
    ...(input.cluster ? { cluster: input.cluster } : {}),
    ...(input.selector ? { selector: input.selector } : {}),
  }
  const created = await ctx.db.transaction(async tx => {
    // The project's row is the lock under which the length of its queue is true.
    const [project] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, actor.project)).for('update')
    if (!project) throw notFound('project')
    if ((await tx.$count(jobs, and(eq(jobs.project_id, actor.project), waiting))) >= longestQueue)
      throw new Problem('quota_exceeded', `${longestQueue} jobs of this project wait already. Cancel some, or come back later.`)
    await requireSecrets(tx, actor.project, new Map(secretNamesOf(built.spec).map(name => [name, secretPointer(input, name)])))
    const never = await neverRuns(tx, actor.project, { type: input.type, ...placement })
    if (never) throw neverProblem(never)
    const { spec, upload } = await withUpload(tx, actor.project, kept)
    const id = newId('job')
    await tx.insert(jobs).values({
      id,
      project_id: actor.project,
      user_id: actor.user,
      created_by: actor.token,
      name: input.name ?? null,
      type: input.type,
      spec,
      upload_id: upload,
      labels: input.labels ?? {},
      resources_given: built.resources,
      ...built.takes,
      placement,
      priority: input.priority ?? 0,
      timeout_seconds: input.timeout_seconds ?? defaults.timeout_seconds,
      grace_seconds: input.grace_seconds ?? defaults.grace_seconds,
      max_attempts: input.max_attempts ?? 1,
      queued_at: sql`clock_timestamp()`,
    })
    await recordAudit(tx, ctx, { action: 'job.create', target: id, project: actor.project, detail: { type: input.type } })
    const job = (await jobForEvent(tx, id, ctx.origin))!
    await emitEvent(tx, { type: 'job.created', project: actor.project, data: { job } })
    return job
  })
  await ctx.afterCommit(() => placeAndNudge(ctx))
  return created
}

/** A build of what was sent: from now on that is kept for it. */
async function withUpload(tx: Tx, project: string, spec: JobSpec): Promise<{ spec: JobSpec; upload: string | null }> {
  if (spec.type !== 'build' || !spec.source.upload) return { spec, upload: null }
  const wish = spec.source.upload.id
  const upload = await keepUpload(tx, project, wish)
  if (!upload) throw invalid('/upload', `There is no upload ${JSON.stringify(wish)}: PUT /v1/uploads/{name} sends one.`)
  return { spec: { ...spec, source: { ...spec.source, upload } }, upload: upload.id }
}

/** What is common to all types of what was asked. */
export type JobWords = Pick<JobCreate, 'type'> & Partial<Omit<Extract<JobCreate, { type: 'run' }>, 'type'>>

/** Gives waiting jobs their places and tells the agents. */
export async function placeAndNudge(ctx: Pick<Ctx, 'db' | 'origin' | 'tunnel'>): Promise<void> {
  for (const cluster of await placeJobs(ctx)) await ctx.tunnel.nudge(cluster)
}

function secretPointer(input: JobWords, name: string): string {
  if (input.type === 'build') return '/git/secret'
  const variable = Object.entries(input.secret_env ?? {}).find(([, secret]) => secret === name)?.[0]
  return variable ? `/secret_env/${variable}` : ''
}
