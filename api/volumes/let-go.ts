/**
 * Whoever was told that a session is stopped or deleted may want its volume at once, while its programs are still ending: they wait for that
 * a moment instead of being refused. Asked before anything is locked; the unique index stays what keeps a second writer out.
 */
import { and, eq, inArray, ne, type SQL } from 'drizzle-orm'
import { clusters, sessions, volumes } from '#db/schema.ts'
import type { Ctx } from '../context.ts'
import { Problem } from '../problem.ts'
import { liveStatuses } from '../sessions/lifecycle.ts'
import { clusterOnline } from '../sessions/read.ts'
import { pauseFor } from '../sessions/wait.ts'

const patienceMs = 10_000
const never = new AbortController().signal

/** Returns once no session that was asked to end, and can be expected to, writes to the volume `which` names; else refuses for now. */
export async function untilLetGo(ctx: Ctx, which: SQL | undefined): Promise<void> {
  const until = performance.now() + patienceMs
  for (let pause = 30; ; pause = Math.min(pause * 1.4, 500)) {
    const [ending] = await ctx.db
      .select({ id: sessions.id })
      .from(sessions)
      .innerJoin(volumes, eq(volumes.id, sessions.volume_id))
      .innerJoin(clusters, eq(clusters.id, sessions.cluster_id))
      .where(and(which, ne(sessions.desired, 'running'), inArray(sessions.status, [...liveStatuses]), clusterOnline))
      .limit(1)
    if (!ending) return
    if (performance.now() >= until) {
      throw new Problem('conflict', `The session ${ending.id} is still ending and holds this volume: try again in a moment.`, {
        headers: { 'retry-after': '2' },
      })
    }
    await pauseFor(pause, never)
  }
}
