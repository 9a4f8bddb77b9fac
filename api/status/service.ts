/** Load, as far as the actor may see it: shared clusters and the own ones; numbers of other projects' sessions only as sums. */
import { and, desc, eq, inArray, isNull, sql } from 'drizzle-orm'
import { clusters, grants, replicas, sessions } from '#db/schema.ts'
import { visibleClusters } from '../clusters/read.ts'
import { type ClusterRow, clusterStatus } from '../clusters/view.ts'
import { type Ctx, projectWall } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import type { ProcessFigures } from '../platform.ts'
import type { ClusterFigures, Status, SystemFigures } from './schema.ts'

type Held = Record<'starting' | 'running' | 'stopping', number>

interface Seen {
  row: ClusterRow
  status: ClusterFigures['status']
  held: Held
  streams: number
}

const total = ({ starting, running, stopping }: Held) => starting + running + stopping

async function seenClusters(ctx: Ctx): Promise<{ now: Date; seen: Seen[] }> {
  const rows = await ctx.db
    .select()
    .from(clusters)
    .where(visibleClusters(ctx))
    .orderBy(desc(clusters.created_at), desc(clusters.id))
  const ids = rows.map(row => row.id)
  const [now, counts, open] = await Promise.all([
    databaseNow(ctx.db),
    ids.length === 0
      ? []
      : ctx.db
          .select({ cluster: sessions.cluster_id, status: sessions.status, n: sql`count(*)`.mapWith(Number) })
          .from(sessions)
          .where(and(inArray(sessions.cluster_id, ids), inArray(sessions.status, ['starting', 'running', 'stopping'])))
          .groupBy(sessions.cluster_id, sessions.status),
    ids.length === 0
      ? []
      : ctx.db
          .select({ cluster: grants.cluster_id, n: sql`count(*)`.mapWith(Number) })
          .from(grants)
          .where(and(inArray(grants.cluster_id, ids), isNull(grants.closed_at)))
          .groupBy(grants.cluster_id),
  ])
  const held = (id: string): Held => {
    const of = (status: keyof Held) => counts.find(count => count.cluster === id && count.status === status)?.n ?? 0
    return { starting: of('starting'), running: of('running'), stopping: of('stopping') }
  }
  const seen = rows.map(row => ({
    row,
    status: clusterStatus(row, now),
    held: held(row.id),
    streams: open.find(count => count.cluster === row.id)?.n ?? 0,
  }))
  return { now, seen }
}

export async function getStatus(ctx: Ctx): Promise<Status> {
  const wall = projectWall(ctx)
  const [{ now, seen }, [waiting]] = await Promise.all([
    seenClusters(ctx),
    ctx.db
      .select({ n: sql`count(*)`.mapWith(Number) })
      .from(sessions)
      .where(and(eq(sessions.status, 'queued'), wall === null ? undefined : eq(sessions.project_id, wall))),
  ])
  const places = ({ row }: Seen) => row.capabilities?.capacity.sessions ?? 0
  const of = (status: ClusterFigures['status']) => seen.filter(cluster => cluster.status === status)
  const online = of('online')
  return {
    id: 'status',
    object: 'status',
    active: seen.reduce((sum, { held }) => sum + total(held), 0),
    queued: waiting?.n ?? 0,
    capacity: online.reduce((sum, cluster) => sum + places(cluster), 0),
    accepting: online.some(cluster => cluster.row.scheduling === 'open' && total(cluster.held) < places(cluster)),
    clusters: { online: online.length, offline: of('offline').length, pending: of('pending').length },
    version: ctx.config.version,
    created_at: now.toISOString(),
  }
}

export async function clusterFigures(ctx: Ctx): Promise<ClusterFigures[]> {
  const { seen } = await seenClusters(ctx)
  return seen.map(({ row, status, held, streams }) => ({
    id: row.id,
    object: 'cluster_figures',
    name: row.name,
    status,
    scheduling: row.scheduling,
    sessions: { ...held, capacity: row.capabilities?.capacity.sessions ?? 0 },
    streams,
    cpu_millis: { used: row.load?.cpu_millis_used ?? null, capacity: row.capabilities?.capacity.cpu_millis ?? null },
    memory_bytes: { used: row.load?.memory_bytes_used ?? null, capacity: row.capabilities?.capacity.memory_bytes ?? null },
    last_seen_at: row.link_seen_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  }))
}

export async function systemFigures(ctx: Ctx, figures: ProcessFigures): Promise<SystemFigures> {
  const [now, [database], alive] = await Promise.all([
    databaseNow(ctx.db),
    ctx.db.execute<{ version: string; size: string; used: string; max: string }>(sql`
      select current_setting('server_version') as version, pg_database_size(current_database()) as size,
        (select count(*) from pg_stat_activity where datname = current_database()) as used,
        current_setting('max_connections') as max`),
    ctx.db
      .select()
      .from(replicas)
      .where(sql`${replicas.seen_at} > clock_timestamp() - interval '1 minute'`)
      .orderBy(replicas.started_at),
  ])
  const { replica, ...process } = figures
  return {
    id: replica,
    object: 'system',
    version: ctx.config.version,
    ...process,
    replicas: alive.map(row => ({ id: row.id, seen_at: row.seen_at.toISOString(), started_at: row.started_at.toISOString() })),
    database: {
      version: database!.version,
      size_bytes: Number(database!.size),
      connections: Number(database!.used),
      max_connections: Number(database!.max),
    },
    created_at: now.toISOString(),
  }
}
