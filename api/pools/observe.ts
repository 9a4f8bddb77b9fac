/** What an agent says of warm sessions. Called in the report's transaction, which holds the cluster. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import { pools, warm_sessions } from '#db/schema.ts'
import type { ObservedSession } from '#protocol/session-spec.ts'
import { retryAfterMs } from './lifecycle.ts'

type WarmRow = typeof warm_sessions.$inferSelect

/** For the pool's own row, written after the report: its lock is never taken while a cluster's is held. */
export interface PoolNews {
  pool: string
  outcome: { readyMs: number } | { failed: string }
}

export async function applyWarmItems(
  tx: Tx,
  at: { cluster: string; epoch: number; now: number },
  items: readonly ObservedSession[],
): Promise<PoolNews[]> {
  if (items.length === 0) return []
  const ids = items.map(item => item.id)
  const rows = await tx
    .select()
    .from(warm_sessions)
    .where(and(eq(warm_sessions.cluster_id, at.cluster), inArray(warm_sessions.id, ids)))
    .orderBy(warm_sessions.id)
    // One that is being taken just now waits for nobody.
    .for('update', { skipLocked: true })
  const news: PoolNews[] = []
  for (const row of rows) {
    const item = items.find(each => each.id === row.id)!
    const told = await applyItem(tx, at, row, item)
    if (told && row.pool_id) news.push({ pool: row.pool_id, outcome: told })
  }
  return news
}

async function applyItem(
  tx: Tx,
  { epoch, now }: { epoch: number; now: number },
  row: WarmRow,
  item: ObservedSession,
): Promise<PoolNews['outcome'] | null> {
  const here = eq(warm_sessions.id, row.id)
  if (row.desired === 'deleted') {
    if (item.phase === 'absent') await tx.delete(warm_sessions).where(here)
    return null
  }
  if (item.phase === 'running') {
    const { display, versions, notes, pod } = item
    const first = row.ready_at === null
    await tx
      .update(warm_sessions)
      .set({ status: 'ready', ready_epoch: epoch, display, versions, notes, pod, ...(first ? { ready_at: new Date(now) } : {}) })
      .where(here)
    return first ? { readyMs: Math.max(0, now - row.created_at.getTime()) } : null
  }
  const status = item.phase === 'starting' ? 'starting' : 'ended'
  if (status !== row.status) await tx.update(warm_sessions).set({ status, ready_epoch: null }).where(here)
  const failed =
    item.phase === 'ended' && (item.cause === 'failed' || item.cause === 'start_timeout') && row.status === 'starting'
  return failed ? { failed: item.reason ?? 'it ended' } : null
}

export async function notePoolNews(db: Db, news: readonly PoolNews[]): Promise<void> {
  for (const { pool, outcome } of news) {
    if ('readyMs' in outcome) {
      await db
        .update(pools)
        .set({
          refills: sql`${pools.refills} + 1`,
          refill_ms: sql`${pools.refill_ms} + ${Math.round(outcome.readyMs)}`,
          failures: 0,
          retry_at: null,
          status_reason: null,
        })
        .where(eq(pools.id, pool))
      continue
    }
    const [row] = await db.select({ failures: pools.failures }).from(pools).where(eq(pools.id, pool))
    const failures = (row?.failures ?? 0) + 1
    const wait = sql`clock_timestamp() + make_interval(secs => ${retryAfterMs(failures) / 1000})`
    const status_reason = `The last one did not start: ${outcome.failed}`.slice(0, 500)
    await db.update(pools).set({ failures, retry_at: wait, status_reason }).where(eq(pools.id, pool))
  }
}
