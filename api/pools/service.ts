/** Verbs of pools. Who administers a cluster decides what it keeps warm; the sweep (refill.ts) makes it so. */
import { and, desc, eq, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { clusters, pools, warm_sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { lockCluster, visibleClusters } from '../clusters/read.ts'
import { type Ctx, projectWall } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { afterCursor, page } from '../paging.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { warmSpec } from './fit.ts'
import { poolTemplate } from './refill.ts'
import { retireWarm } from './retire.ts'
import type { Pool, PoolCreate, PoolFilters, PoolPatch } from './schema.ts'

type PoolRow = typeof pools.$inferSelect

const defaults = { idle_size: 1, idle_after_seconds: 1800, max_age_seconds: 3600 }

const kept = (status: 'ready' | 'starting') =>
  sql<number>`(select count(*)::int from ${warm_sessions} w where w.pool_id = ${pools}.id and w.status = ${status}
    and w.desired = 'running')`
const shape = { row: pools, ready: kept('ready'), starting: kept('starting') }

function poolView({ row, ready, starting }: { row: PoolRow; ready: number; starting: number }): Pool {
  return {
    id: row.id,
    object: 'pool',
    project: row.project_id,
    template: row.template_id,
    cluster: row.cluster_id,
    size: row.size,
    idle_size: row.idle_size,
    idle_after_seconds: row.idle_after_seconds,
    max_age_seconds: row.max_age_seconds,
    overrides: row.overrides,
    ready,
    starting,
    hits: row.hits,
    misses: row.misses,
    refill_seconds: row.refills === 0 ? null : Math.round(row.refill_ms / row.refills) / 1000,
    status_reason: row.status_reason,
    last_asked_at: row.last_asked_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  }
}

/** Pools of shared clusters are seen by all who can use them. */
function visible(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return wall === null ? undefined : or(isNull(pools.project_id), eq(pools.project_id, wall))
}

async function find(ctx: Ctx, id: string, db: Sql = ctx.db) {
  const [found] = await db
    .select(shape)
    .from(pools)
    .where(and(eq(pools.id, id), visible(ctx)))
  if (!found) throw notFound('pool')
  return found
}

export async function getPool(ctx: Ctx, id: string): Promise<Pool> {
  return poolView(await find(ctx, id))
}

export async function listPools(ctx: Ctx, query: PoolFilters) {
  const rows = await ctx.db
    .select(shape)
    .from(pools)
    .where(
      and(
        visible(ctx),
        query.cluster ? eq(pools.cluster_id, query.cluster) : undefined,
        query.template ? eq(pools.template_id, query.template) : undefined,
        afterCursor(query.cursor, pools.created_at, pools.id),
      ),
    )
    .orderBy(desc(pools.created_at), desc(pools.id))
    .limit(query.limit + 1)
  const flat = rows.map(found => ({ ...found, created_at: found.row.created_at, id: found.row.id }))
  return page(flat, query.limit, poolView)
}

export async function createPool(ctx: Ctx, input: PoolCreate): Promise<Pool> {
  return ctx.db.transaction(async tx => {
    const cluster = await lockCluster(ctx, tx, await clusterMeant(ctx, tx, input.cluster ?? null))
    if (cluster.capabilities && !cluster.capabilities.features.includes('warm'))
      throw new Problem('conflict', `The cluster ${cluster.name} cannot keep sessions warm.`)
    const template = await poolTemplate(tx, cluster.project_id, input.template)
    if (!template)
      throw invalid('/template', `No such template: ${JSON.stringify(input.template)}. GET /v1/templates lists them.`)
    warmSpec(template, input.overrides ?? {})
    const [row] = await tx
      .insert(pools)
      .values({
        id: newId('pol'),
        project_id: cluster.project_id,
        cluster_id: cluster.id,
        template_id: template.id,
        overrides: input.overrides ?? {},
        size: input.size,
        idle_size: Math.min(input.size, input.idle_size ?? defaults.idle_size),
        idle_after_seconds: input.idle_after_seconds ?? defaults.idle_after_seconds,
        max_age_seconds: input.max_age_seconds ?? defaults.max_age_seconds,
      })
      .returning()
    return told(tx, ctx, row!, 'create')
  })
}

export async function patchPool(ctx: Ctx, id: string, input: PoolPatch): Promise<Pool> {
  return ctx.db.transaction(async tx => {
    const { row } = await find(ctx, id, tx)
    await lockCluster(ctx, tx, row.cluster_id)
    const size = input.size ?? row.size
    const [next] = await tx
      .update(pools)
      .set({ ...input, size, idle_size: Math.min(size, input.idle_size ?? row.idle_size), failures: 0, retry_at: null })
      .where(eq(pools.id, id))
      .returning()
    if (!next) throw notFound('pool')
    return told(tx, ctx, next, 'update', { fields: Object.keys(input) })
  })
}

export async function deletePool(ctx: Ctx, id: string): Promise<void> {
  const cluster = await ctx.db.transaction(async tx => {
    const { row } = await find(ctx, id, tx)
    await lockCluster(ctx, tx, row.cluster_id)
    const warm = await tx.select({ id: warm_sessions.id }).from(warm_sessions).where(eq(warm_sessions.pool_id, id))
    await retireWarm(
      tx,
      row.cluster_id,
      warm.map(each => each.id),
    )
    const pool = await told(tx, ctx, row, 'delete')
    await tx.delete(pools).where(eq(pools.id, pool.id))
    return row.cluster_id
  })
  await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))
}

async function clusterMeant(ctx: Ctx, tx: Tx, wish: string | null): Promise<string> {
  const meant = wish === null ? undefined : or(eq(clusters.id, wish), eq(clusters.name, wish))
  const found = await tx
    .select({ id: clusters.id })
    .from(clusters)
    .where(and(visibleClusters(ctx), meant))
    .limit(2)
  if (found.length === 1) return found[0]!.id
  if (wish !== null && found.length === 0) throw invalid('/cluster', `There is no cluster ${JSON.stringify(wish)}.`)
  throw invalid('/cluster', found.length === 0 ? 'No cluster is registered yet.' : 'Say which cluster: there are several.')
}

async function told(tx: Tx, ctx: Ctx, row: PoolRow, verb: 'create' | 'update' | 'delete', detail: Record<string, unknown> = {}) {
  const pool = poolView(await find(ctx, row.id, tx))
  const { template_id: template, size, project_id: project } = row
  await recordAudit(tx, ctx, { action: `pool.${verb}`, target: row.id, project, detail: { template, size, ...detail } })
  await emitEvent(tx, { type: `pool.${verb}d`, project, data: { pool } })
  return pool
}
