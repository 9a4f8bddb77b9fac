/**
 * Brings every pool to its size, a step at a time. Any replica may run it, at any time: what is to be done follows from what there is (lifecycle.ts).
 * Where there is something to do, it is looked at again under the locks of its cluster and of its row, in this order as everywhere.
 */
import { and, eq, isNull, or, sql } from 'drizzle-orm'
import type { Db, Sql, Tx } from '#db/client.ts'
import { clusters, pools, templates, warm_sessions } from '#db/schema.ts'
import { newId } from '../ids.ts'
import { takeSeq } from '../sessions/desired.ts'
import { clusterOnline } from '../sessions/read.ts'
import type { TemplateBody } from '../templates/schema.ts'
import { bodyOf } from '../templates/view.ts'
import { fitOf, warmSpec } from './fit.ts'
import { type ClusterFacts, planPool } from './lifecycle.ts'
import { retireWarm } from './retire.ts'

/** Answers the clusters that got something to do. */
export async function refillPools(db: Db): Promise<string[]> {
  const rows = await db
    .select({ id: pools.id, cluster: pools.cluster_id })
    .from(pools)
    .orderBy(sql`${pools.last_asked_at} desc nulls last, ${pools.id}`)
  const touched = new Set<string>()
  for (const { id, cluster } of rows) {
    if (!isDue(await lookAt(db, id))) continue
    const changed = await db.transaction(async tx => {
      await tx.select({ id: clusters.id }).from(clusters).where(eq(clusters.id, cluster)).for('update')
      return refillOne(tx, id)
    })
    if (changed) touched.add(cluster)
  }
  return [...touched]
}

/** As a create of that project would find it; null project: only everybody's. */
export async function poolTemplate(
  db: Sql,
  project: string | null,
  id: string,
): Promise<{ id: string; body: TemplateBody } | null> {
  const [row] = await db
    .select()
    .from(templates)
    .where(
      and(
        eq(templates.id, id),
        project === null ? isNull(templates.project_id) : or(isNull(templates.project_id), eq(templates.project_id, project)),
      ),
    )
    .orderBy(sql`${templates.project_id} nulls last`)
    .limit(1)
  return row ? { id: row.id, body: bodyOf(row) } : null
}

/** What there is of a pool, and what is to be done. `locked`: its row, and null also while another holds that. */
async function lookAt(db: Sql, id: string, locked = false) {
  const ms = (since: unknown) => sql<number>`(extract(epoch from clock_timestamp() - ${since}) * 1000)::float8`
  const looked = db
    .select({
      pool: pools,
      quiet: ms(sql`greatest(${pools.created_at}, ${pools.last_asked_at})`),
      used: sql<boolean>`exists (select 1 from sessions s where s.cluster_id = ${pools.cluster_id} and s.template_id = ${pools.template_id}
        and s.status in ('starting', 'running') and s.created_at > clock_timestamp() - interval '1 hour')`,
      retryIn: sql<number>`coalesce((extract(epoch from ${pools.retry_at} - clock_timestamp()) * 1000)::float8, 0)`,
    })
    .from(pools)
    .where(eq(pools.id, id))
  const [seen] = await (locked ? looked.for('update', { skipLocked: true }) : looked)
  if (!seen) return null
  const { pool } = seen
  const template = await poolTemplate(db, pool.project_id, pool.template_id)
  const spec = template && warmSpec(template, pool.overrides)
  const fit = spec && fitOf(spec)
  const warm = await db
    .select({ id: warm_sessions.id, status: warm_sessions.status, fit: warm_sessions.fit, ageMs: ms(warm_sessions.created_at) })
    .from(warm_sessions)
    .where(and(eq(warm_sessions.pool_id, id), eq(warm_sessions.desired, 'running')))
  const plan = planPool(
    {
      size: pool.size,
      idleSize: pool.idle_size,
      idleAfterMs: pool.idle_after_seconds * 1000,
      maxAgeMs: pool.max_age_seconds * 1000,
      // Who has one open may soon want another.
      quietMs: seen.used ? 0 : seen.quiet,
      fit,
      retryInMs: seen.retryIn,
    },
    warm,
    await clusterFacts(db, pool.cluster_id),
  )
  return { pool, spec, fit, plan }
}

type Look = Awaited<ReturnType<typeof lookAt>>

const isDue = (look: Look) => look !== null && (look.fit !== look.pool.fit || look.plan.retire.length + look.plan.start > 0)

/** Whether the cluster, which the caller has locked, got something to do. */
async function refillOne(tx: Tx, id: string): Promise<boolean> {
  const look = await lookAt(tx, id, true)
  if (!look) return false
  const { pool, spec, fit, plan } = look
  if (fit !== pool.fit) await tx.update(pools).set({ fit }).where(eq(pools.id, id))
  await retireWarm(tx, pool.cluster_id, plan.retire)
  for (let n = 0; n < plan.start && spec && fit; n++) {
    const change_seq = await takeSeq(tx, pool.cluster_id)
    await tx.insert(warm_sessions).values({ id: newId('ses'), pool_id: id, cluster_id: pool.cluster_id, spec, fit, change_seq })
  }
  return plan.retire.length + plan.start > 0
}

async function clusterFacts(db: Sql, id: string): Promise<ClusterFacts> {
  const live = (table: 'sessions' | 'warm_sessions', where: string) =>
    sql<number>`(select count(*)::int from ${sql.raw(table)} s where s.cluster_id = ${clusters}.id and ${sql.raw(where)})`
  const [row] = await db
    .select({
      cluster: clusters,
      online: clusterOnline,
      sessions: live('sessions', `s.status in ('starting','running','stopping')`),
      begins: live('sessions', `s.status = 'starting' and s.created_at > clock_timestamp() - interval '1 minute'`),
      warm: live('warm_sessions', `s.desired = 'running' and s.status <> 'ended'`),
      starting: live('warm_sessions', `s.desired = 'running' and s.status = 'starting'`),
      queued: sql<boolean>`exists (select 1 from sessions s where s.status = 'queued')`,
    })
    .from(clusters)
    .where(eq(clusters.id, id))
  if (!row) return { state: 'away', free: 0, busy: true, starting: 0 }
  const { cluster, sessions, warm } = row
  const able = cluster.capabilities?.features.includes('warm') ?? false
  const state = !row.online ? 'away' : cluster.scheduling === 'open' && able ? 'open' : 'closed'
  const free = (cluster.capabilities?.capacity.sessions ?? 0) - sessions - warm
  return { state, free, busy: row.queued || row.begins > 0, starting: row.starting }
}
