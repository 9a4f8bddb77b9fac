/** What an agent says of warm sessions. Called in the report's transaction, which holds the cluster. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import { pools, warm_sessions } from '#db/schema.ts'
import { textArray } from '#db/together.ts'
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
  const round: Round = { ...at, changed: [], gone: [] }
  const news: PoolNews[] = []
  for (const row of rows) {
    const item = items.find(each => each.id === row.id)!
    const told = applyItem(round, row, item)
    if (told && row.pool_id) news.push({ pool: row.pool_id, outcome: told })
  }
  await write(tx, round)
  return news
}

/** What one report does to warm ones, gathered so that it is one statement. */
interface Round {
  epoch: number
  /** The database's clock, epoch ms. */
  now: number
  changed: WarmRow[]
  gone: string[]
}

function applyItem(round: Round, row: WarmRow, item: ObservedSession): PoolNews['outcome'] | null {
  if (row.desired === 'deleted') {
    if (item.phase === 'absent') round.gone.push(row.id)
    return null
  }
  if (item.phase === 'running') {
    const { display = row.display, versions, notes, pod = row.pod } = item
    const ready_at = row.ready_at ?? new Date(round.now)
    round.changed.push({ ...row, status: 'ready', ready_epoch: round.epoch, display, versions, notes, pod, ready_at })
    return row.ready_at === null ? { readyMs: Math.max(0, round.now - row.created_at.getTime()) } : null
  }
  const status = item.phase === 'starting' ? 'starting' : 'ended'
  if (status !== row.status) round.changed.push({ ...row, status, ready_epoch: null })
  const failed =
    item.phase === 'ended' && (item.cause === 'failed' || item.cause === 'start_timeout') && row.status === 'starting'
  return failed ? { failed: item.reason ?? 'it ended' } : null
}

const observed = ['status', 'ready_epoch', 'display', 'versions', 'notes', 'pod', 'ready_at'] as const

async function write(tx: Tx, { changed, gone }: Round): Promise<void> {
  if (changed.length + gone.length === 0) return
  const seen = changed.map(row => Object.fromEntries(['id' as const, ...observed].map(name => [name, row[name]])))
  await tx.execute(sql`
    with removed as (
      delete from warm_sessions where id = any(${textArray(gone)}::text[])
    )
    update warm_sessions set ${sql.raw(observed.map(name => `"${name}" = seen."${name}"`).join(', '))}
    from jsonb_populate_recordset(null::warm_sessions, ${JSON.stringify(seen)}::jsonb) seen where warm_sessions.id = seen.id`)
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
