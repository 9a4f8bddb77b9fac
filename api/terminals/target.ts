/** What a terminal steps into: a session or a job that runs now, and the cluster that must be reachable for it. */
import { eq } from 'drizzle-orm'
import { clusters } from '#db/schema.ts'
import type { Ctx } from '../context.ts'
import { invalid, Problem } from '../problem.ts'
import { clusterOnline, findSession } from '../sessions/read.ts'

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
  if (wish.job !== undefined) throw invalid('/job', 'Terminals of jobs are not supported yet.')
  const { row } = await findSession(ctx, wish.session!)
  if (row.status !== 'running' || !row.cluster_id) {
    const why = row.status_reason ? `: ${row.status_reason}` : '.'
    throw new Problem('session_not_running', `The session is ${row.status}${why}`)
  }
  return { project: row.project_id, cluster: row.cluster_id, session: row.id, job: null }
}

/** Refuses while its agent cannot be reached, or has no terminals. */
export async function reachable(ctx: Ctx, cluster: string): Promise<void> {
  const [row] = await ctx.db
    .select({ online: clusterOnline, capabilities: clusters.capabilities })
    .from(clusters)
    .where(eq(clusters.id, cluster))
  if (!row?.online) throw new Problem('cluster_offline', 'The cluster is offline.', { headers: { 'retry-after': '5' } })
  if (!row.capabilities?.features.includes('exec'))
    throw new Problem(
      'conflict',
      'This cluster has no terminals: its agent does not offer them, or its operator switched them off.',
    )
}
