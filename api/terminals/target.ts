/** What a terminal steps into: a session or a job that runs now, and the cluster that must be reachable for it. */
import { eq } from 'drizzle-orm'
import { clusters } from '#db/schema.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import type { Ctx } from '../context.ts'
import { findJob } from '../jobs/read.ts'
import type { JobRow } from '../jobs/view.ts'
import { invalid, Problem } from '../problem.ts'
import { clusterOnline, findSession } from '../sessions/read.ts'
import { hurrySettling } from '../sessions/settling.ts'

export interface TerminalPlace {
  project: string
  cluster: string
  session: string | null
  job: string | null
}

export async function placeOf(
  ctx: Ctx,
  wish: { session?: string | undefined; job?: string | undefined },
): Promise<TerminalPlace> {
  if ((wish.session === undefined) === (wish.job === undefined)) throw invalid('/session', 'Name either a session or a job.')
  if (wish.job !== undefined) {
    const row = await findJob(ctx, wish.job)
    const cluster = enterable(row)
    return { project: row.project_id, cluster, session: null, job: row.id }
  }
  const { row } = await findSession(ctx, wish.session!)
  if (row.status !== 'running' || !row.cluster_id) {
    const why = row.status_reason && row.status_reason !== row.status ? `: ${row.status_reason}` : '.'
    throw new Problem('session_not_running', `The session is ${row.status}${why}`)
  }
  hurrySettling(ctx, row)
  return { project: row.project_id, cluster: row.cluster_id, session: row.id, job: null }
}

/** What a manifest applied and a deploy rolled out runs on after their end. */
export const outlives = (type: JobRow['type']) => type === 'manifest' || type === 'deploy'

/** Its cluster, where something of it may run. */
export function enterable(row: JobRow): string {
  const there = row.status === 'running' || (outlives(row.type) && row.status !== 'queued')
  if (there && row.cluster_id) return row.cluster_id
  const why = row.status_reason && row.status_reason !== row.status ? `: ${row.status_reason}` : '.'
  throw new Problem('job_not_running', `The job is ${row.status}${row.cluster_id ? why : ', and no cluster has it.'}`)
}

/** What its agent finds the job's pods by. */
export async function jobForAgent(ctx: Ctx, id: string): Promise<TerminalJob> {
  const row = await findJob(ctx, id)
  enterable(row)
  return podsBy(row)
}

export function podsBy(row: JobRow): TerminalJob {
  const { type, attempt, project_id: project, spec } = row
  const namespace = 'namespace' in spec && spec.namespace !== undefined ? { namespace: spec.namespace } : {}
  const set = spec.type === 'manifest' && spec.set !== null ? { set: spec.set } : {}
  const services = spec.type === 'deploy' ? { services: Object.keys(spec.mappings) } : {}
  return { type, attempt, project, ...namespace, ...set, ...services }
}

const without = {
  exec: 'no terminals',
  exec_jobs: 'no terminals in jobs',
  logs_jobs: 'no live output of jobs',
} as const

/** Refuses while its agent cannot be reached, or does not offer this. */
export async function reachable(ctx: Ctx, cluster: string, feature: keyof typeof without): Promise<void> {
  const [row] = await ctx.db
    .select({ online: clusterOnline, capabilities: clusters.capabilities })
    .from(clusters)
    .where(eq(clusters.id, cluster))
  if (!row?.online) throw new Problem('cluster_offline', 'The cluster is offline.', { headers: { 'retry-after': '5' } })
  if (!row.capabilities?.features.includes(feature))
    throw new Problem(
      'conflict',
      `This cluster has ${without[feature]}: its agent does not offer that, or its operator switched it off.`,
    )
}
