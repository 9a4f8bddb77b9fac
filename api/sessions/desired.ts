/**
 * What a cluster's agent should know. Every change of desired state takes the cluster's next `seq` in its own transaction
 * (`takeSeq` locks the cluster row), so a reader that has seen `seq` can have missed nothing below it.
 */
import { and, asc, eq, gt, sql } from 'drizzle-orm'
import type { Db, Sql } from '#db/client.ts'
import { kept } from '#db/kept.ts'
import { clusters, sessions, volumes, warm_sessions } from '#db/schema.ts'
import type { DesiredJob } from '#protocol/job-spec.ts'
import type { DesiredSession } from '#protocol/session-spec.ts'
import type { ApiConfig } from '../config.ts'
import { desiredPageBytes, jobsSince } from '../jobs/desired.ts'
import { endedTerminals as terminalsEndedSince } from '../terminals/ended.ts'

/** Locks the cluster row until the transaction ends and answers its next number. */
export async function takeSeq(tx: Sql, cluster: string): Promise<number> {
  const [row] = await tx
    .update(clusters)
    .set({ seq: sql`${clusters.seq} + 1` })
    .where(eq(clusters.id, cluster))
    .returning({ seq: clusters.seq })
  if (!row) throw new Error(`cluster ${cluster} is gone`)
  return row.seq
}

export interface DesiredPage {
  items: DesiredSession[]
  /** Volumes whose files should go; a page may repeat what one before it said. */
  deletedVolumes: string[]
  /** Terminals that should no longer run. */
  endedTerminals?: string[]
  jobs: DesiredJob[]
  /** Everything up to here is in this page or the ones before. */
  seq: number
  complete: boolean
}

const [ofCluster, after, atMost] = [sql.placeholder('cluster'), sql.placeholder('seq'), sql.placeholder('limit')]
const seqOf = kept(db => db.select({ seq: clusters.seq }).from(clusters).where(eq(clusters.id, ofCluster)).prepare('seq_of'))
const sessionsSince = kept(db =>
  db
    .select({ row: sessions, ttl_ms: sql<string | null>`extract(epoch from ${sessions.expires_at} - clock_timestamp()) * 1000` })
    .from(sessions)
    .where(and(eq(sessions.cluster_id, ofCluster), gt(sessions.change_seq, after)))
    .orderBy(asc(sessions.change_seq))
    .limit(atMost)
    .prepare('sessions_since'),
)
const warmSince = kept(db =>
  db
    .select()
    .from(warm_sessions)
    .where(and(eq(warm_sessions.cluster_id, ofCluster), gt(warm_sessions.change_seq, after)))
    .orderBy(asc(warm_sessions.change_seq))
    .limit(atMost)
    .prepare('warm_since'),
)
const volumesGoneSince = kept(db =>
  db
    .select({ id: volumes.id })
    .from(volumes)
    .where(and(eq(volumes.cluster_id, ofCluster), eq(volumes.desired, 'deleted'), gt(volumes.change_seq, after)))
    .prepare('volumes_gone_since'),
)

/**
 * Items changed after `seq` (0: all), oldest change first, at most `limit`. Several items never share a number of one cluster, so a page may
 * end anywhere; go on with the page's `seq`.
 */
export async function desiredSince(
  db: Db,
  cluster: string,
  seq: number,
  options: { limit: number; config: ApiConfig },
): Promise<DesiredPage> {
  return db.transaction(async tx => {
    const since = { cluster, seq, limit: options.limit + 1 }
    // Sent together: all of them see the same moment, for which the first one asks.
    const [, [at], rows, warm, jobs, gone, endedTerminals] = await Promise.all([
      tx.execute(sql`set transaction isolation level repeatable read read only`).execute(),
      seqOf(tx).execute(since),
      sessionsSince(tx).execute(since),
      warmSince(tx).execute(since),
      jobsSince(tx, options.config, cluster, seq, options.limit),
      volumesGoneSince(tx).execute(since),
      terminalsEndedSince(tx, cluster, seq),
    ])
    const items = [
      ...rows.map(({ row, ttl_ms }) => ({
        seq: row.change_seq,
        item: desiredItem(row, ttl_ms === null ? null : Number(ttl_ms)),
      })),
      ...warm.map(row => ({ seq: row.change_seq, item: warmItem(row) })),
    ]
    const page = firstOf(items, jobs, options.limit)
    return {
      deletedVolumes: gone.map(volume => volume.id),
      endedTerminals,
      items: page.items,
      jobs: page.jobs,
      seq: page.complete ? (at?.seq ?? seq) : page.seq,
      complete: page.complete,
    }
  })
}

/** The oldest changes of both kinds that fit into one page, and how far it goes. */
function firstOf(items: { seq: number; item: DesiredSession }[], jobs: { seq: number; job: DesiredJob }[], limit: number) {
  const order = [
    ...items.map(({ seq, item }) => ({ seq, bytes: 0, item })),
    ...jobs.map(({ seq, job }) => ({ seq, bytes: JSON.stringify(job).length, job })),
  ].sort((a, b) => a.seq - b.seq)
  let bytes = 0
  let count = 0
  for (const each of order) {
    bytes += each.bytes
    if (count === limit || (count > 0 && bytes > desiredPageBytes)) break
    count++
  }
  const shown = order.slice(0, count)
  return {
    items: shown.flatMap(each => ('item' in each ? [each.item] : [])),
    jobs: shown.flatMap(each => ('job' in each ? [each.job] : [])),
    seq: shown.at(-1)?.seq ?? 0,
    complete: count === order.length,
  }
}

function desiredItem(row: typeof sessions.$inferSelect, ttlMs: number | null): DesiredSession {
  return {
    kind: 'session',
    id: row.id,
    generation: row.generation,
    state: row.desired,
    ...(row.desired === 'deleted' ? {} : { spec: row.spec }),
    ttl_remaining_ms: ttlMs === null ? null : Math.round(ttlMs),
    idle_timeout_ms: row.idle_timeout_seconds === null ? null : row.idle_timeout_seconds * 1000,
    touches: row.touches,
  }
}

/** Nobody's yet: no deadlines. Taking it counts as the first touch, so that idle time begins then. */
function warmItem({ id, desired, spec }: typeof warm_sessions.$inferSelect): DesiredSession {
  const without = { ttl_remaining_ms: null, idle_timeout_ms: null, touches: 0, warm: true }
  return { kind: 'session', id, generation: 1, state: desired, ...(desired === 'deleted' ? {} : { spec }), ...without }
}
