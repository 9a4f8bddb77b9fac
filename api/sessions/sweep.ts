/**
 * What no request does: ends sessions whose time is over (the agent does the same on its own; this is the wall behind it), places
 * queued ones, keeps pools at their size, and forgets what is old. Idempotent; every replica may run it.
 */
import { and, eq, inArray, isNull, lt, sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { clusters, events, grants, sessions, tickets } from '#db/schema.ts'
import { emitEvent } from '../events/emit.ts'
import type { Tunnel } from '../platform.ts'
import { refillPools } from '../pools/refill.ts'
import { takeSeq } from './desired.ts'
import { finalStatuses } from './lifecycle.ts'
import { placeQueued } from './place.ts'
import { sessionForEvent } from './read.ts'

export interface SweepEnv {
  db: Db
  tunnel: Pick<Tunnel, 'nudge'>
  origin: string
}

/** Seconds that final sessions, events and closed grants are kept. */
export const retention = { sessions: 7 * 86_400, events: 2 * 86_400, grants: 7 * 86_400 }

/** Every second or two. */
export async function sweepSessions(env: SweepEnv): Promise<void> {
  const touched = new Set<string>()
  for (const id of await overdue(env.db)) {
    const cluster = await expire(env, id)
    if (cluster) touched.add(cluster)
  }
  for (const cluster of await placeQueued(env)) touched.add(cluster)
  for (const cluster of await refillPools(env.db)) touched.add(cluster)
  for (const cluster of touched) await env.tunnel.nudge(cluster)
}

async function overdue(db: Db): Promise<string[]> {
  const rows = await db
    .select({ id: sessions.id })
    .from(sessions)
    .where(
      and(
        inArray(sessions.status, ['queued', 'starting', 'running']),
        eq(sessions.desired, 'running'),
        lt(sessions.expires_at, sql`clock_timestamp()`),
      ),
    )
    .limit(200)
  return rows.map(row => row.id)
}

async function expire(env: SweepEnv, id: string): Promise<string | null> {
  return env.db.transaction(async tx => {
    const [seen] = await tx.select({ cluster: sessions.cluster_id }).from(sessions).where(eq(sessions.id, id))
    if (!seen) return null
    const seq = seen.cluster ? await takeSeq(tx, seen.cluster) : 0
    const [row] = await tx
      .update(sessions)
      .set({
        desired: 'stopped',
        ending_reason: 'ttl',
        change_seq: seq,
        ...(seen.cluster
          ? { status: 'stopping' as const }
          : {
              status: 'expired' as const,
              ended_at: sql`clock_timestamp()`,
              termination_reason: 'ttl' as const,
              status_reason: 'Its time to live was over before there was room for it.',
            }),
      })
      .where(
        and(
          eq(sessions.id, id),
          seen.cluster ? eq(sessions.cluster_id, seen.cluster) : isNull(sessions.cluster_id),
          eq(sessions.desired, 'running'),
          lt(sessions.expires_at, sql`clock_timestamp()`),
        ),
      )
      .returning()
    if (!row) return null
    const session = await sessionForEvent(tx, id, env.origin)
    await emitEvent(tx, { type: 'session.updated', project: row.project_id, session: id, data: { session } })
    return seen.cluster
  })
}

/** Every few minutes. Final sessions past retention are deleted as a user would; old events, tickets and grants go. */
export async function sweepOld(env: SweepEnv): Promise<void> {
  const { db } = env
  const ago = (seconds: number) => sql`clock_timestamp() - make_interval(secs => ${seconds})`
  await db.delete(events).where(lt(events.created_at, ago(retention.events)))
  await db.delete(tickets).where(lt(tickets.expires_at, ago(3600)))
  await db.delete(grants).where(and(sql`${grants.closed_at} is not null`, lt(grants.closed_at, ago(retention.grants))))
  const old = await db
    .select({ id: sessions.id, cluster: sessions.cluster_id })
    .from(sessions)
    .where(
      and(
        inArray(sessions.status, [...finalStatuses]),
        sql`${sessions.desired} <> 'deleted'`,
        // Stopped ones can be started again: they are the user's to delete.
        sql`${sessions.status} <> 'stopped'`,
        lt(sessions.ended_at, ago(retention.sessions)),
      ),
    )
    .limit(500)
  for (const { id, cluster } of old) {
    await db.transaction(async tx => {
      const [here] = cluster ? await tx.select({ id: clusters.id }).from(clusters).where(eq(clusters.id, cluster)) : []
      if (!here) await tx.delete(sessions).where(eq(sessions.id, id))
      else
        await tx
          .update(sessions)
          .set({ desired: 'deleted', change_seq: await takeSeq(tx, here.id) })
          .where(eq(sessions.id, id))
    })
    if (cluster) await env.tunnel.nudge(cluster)
  }
}
