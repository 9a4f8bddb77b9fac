/** Reading clusters: the shared ones and the project's own; an admin sees all. */
import { and, desc, eq, isNotNull, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { clusters } from '#db/schema.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import { type Ctx, projectWall } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import { afterCursor, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import type { Cluster, ClusterFilters } from './schema.ts'
import { type ClusterRow, clusterView } from './view.ts'

export function visibleClusters(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return wall === null ? undefined : or(isNull(clusters.project_id), eq(clusters.project_id, wall))
}

const online = sql`(${clusters.link_replica_id} is not null
  and ${clusters.link_seen_at} > clock_timestamp() - make_interval(secs => ${linkTiming.offline / 1000}))`

function withStatus(status: ClusterFilters['status']): SQL | undefined {
  if (status === undefined) return undefined
  if (status === 'pending') return isNull(clusters.agent_id)
  return and(isNotNull(clusters.agent_id), status === 'online' ? sql`${online} is true` : sql`${online} is not true`)
}

export async function listClusters(ctx: Ctx, query: ClusterFilters) {
  const [now, rows] = await Promise.all([
    databaseNow(ctx.db),
    ctx.db
      .select()
      .from(clusters)
      .where(
        and(
          visibleClusters(ctx),
          withStatus(query.status),
          query.name ? eq(clusters.name, query.name) : undefined,
          afterCursor(query.cursor, clusters.created_at, clusters.id),
        ),
      )
      .orderBy(desc(clusters.created_at), desc(clusters.id))
      .limit(query.limit + 1),
  ])
  return page(rows, query.limit, row => clusterView(row, now))
}

export async function getCluster(ctx: Ctx, id: string): Promise<Cluster> {
  return clusterView(await findCluster(ctx, ctx.db, id), await databaseNow(ctx.db))
}

async function findCluster(ctx: Ctx, db: Sql, id: string): Promise<ClusterRow> {
  const [row] = await db
    .select()
    .from(clusters)
    .where(and(eq(clusters.id, id), visibleClusters(ctx)))
  if (!row) throw notFound('cluster')
  return row
}

/** Locks a cluster to change it. A shared one is seen by all, so a project that may not change it is told so. */
export async function lockCluster(ctx: Ctx, tx: Sql, id: string): Promise<ClusterRow> {
  const found = await findCluster(ctx, tx, id)
  if (found.project_id === null && projectWall(ctx) !== null) {
    throw new Problem('forbidden', 'This cluster is shared by all projects: only an admin may change it.')
  }
  const [row] = await tx.select().from(clusters).where(eq(clusters.id, id)).for('update')
  if (!row) throw notFound('cluster')
  return row
}
