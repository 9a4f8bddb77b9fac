/** What Postgres knows of agents' links: the epoch that fences them, who holds them and when they were last heard of. */
import { and, eq, sql } from 'drizzle-orm'
import type { Db, Sql, Tx } from '#db/client.ts'
import { clusters } from '#db/schema.ts'
import { emitEvent } from '../events/emit.ts'
import type { ClusterState, LinkStore } from './link-port.ts'

/** The cluster as its GET would answer, for the event that tells of it. */
export type ClusterEventView = (tx: Tx, cluster: string) => Promise<Record<string, unknown> | null>

export function linkStore(db: Db, replica: string, view: ClusterEventView): LinkStore {
  return {
    async begin(agent, { agentVersion, capabilities }) {
      return db.transaction(async tx => {
        const [row] = await tx
          .update(clusters)
          .set({
            epoch: sql`${clusters.epoch} + 1`,
            report_seq: 0,
            link_replica_id: replica,
            link_since: sql`clock_timestamp()`,
            link_seen_at: sql`clock_timestamp()`,
            agent_version: agentVersion,
            capabilities,
          })
          .where(and(eq(clusters.id, agent.cluster), eq(clusters.agent_id, agent.id)))
          .returning({ epoch: clusters.epoch, project: clusters.project_id })
        if (!row) return null
        await tellCluster(tx, view, agent.cluster, row.project)
        return row.epoch
      })
    },

    async end(cluster, epoch) {
      await db.transaction(async tx => {
        const [row] = await tx
          .update(clusters)
          .set({ link_replica_id: null })
          .where(and(eq(clusters.id, cluster), eq(clusters.epoch, epoch), eq(clusters.link_replica_id, replica)))
          .returning({ project: clusters.project_id })
        if (row) await tellCluster(tx, view, cluster, row.project)
      })
    },

    async state(cluster) {
      return (await clusterStates(db, [cluster])).get(cluster) ?? null
    },
  }
}

async function tellCluster(tx: Tx, view: ClusterEventView, id: string, project: string | null): Promise<void> {
  const cluster = (await view(tx, id)) ?? { id }
  await emitEvent(tx, { type: 'cluster.updated', project, data: { cluster } })
}

/** What the links of one replica poll, in one statement. */
export async function clusterStates(db: Sql, ids: readonly string[]): Promise<Map<string, ClusterState>> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .select({ cluster: clusters.id, agent: clusters.agent_id, epoch: clusters.epoch, seq: clusters.seq })
    .from(clusters)
    .where(sql`${clusters.id} in (select jsonb_array_elements_text(${JSON.stringify(ids)}::jsonb))`)
  return new Map(rows.map(row => [row.cluster, row]))
}

/** Links that were heard of lately, in one statement; a superseded one moves nothing. */
export async function markSeen(db: Db, replica: string, links: readonly { cluster: string; epoch: number }[]): Promise<void> {
  if (links.length === 0) return
  await db.execute(sql`
    update clusters set link_seen_at = clock_timestamp()
    from jsonb_to_recordset(${JSON.stringify(links)}::jsonb) as heard(cluster text, epoch bigint)
    where clusters.id = heard.cluster and clusters.epoch = heard.epoch and clusters.link_replica_id = ${replica}`)
}

/** Frees the links of replicas that stopped beating, so that `cluster.updated` tells of them too. */
export async function releaseLinksOfDeadReplicas(db: Db, view: ClusterEventView, deadAfterMs: number): Promise<string[]> {
  return db.transaction(async tx => {
    const rows = await tx
      .update(clusters)
      .set({ link_replica_id: null })
      .where(
        and(
          sql`${clusters.link_replica_id} is not null`,
          sql`not exists (select from replicas where replicas.id = ${clusters.link_replica_id}
            and replicas.seen_at > clock_timestamp() - ${`${deadAfterMs} milliseconds`}::interval)`,
        ),
      )
      .returning({ id: clusters.id, project: clusters.project_id })
    for (const row of rows) await tellCluster(tx, view, row.id, row.project)
    return rows.map(row => row.id)
  })
}

/** One beat of one link: marks it seen (unless it is superseded) and answers what the cluster's row says; null: it is gone. */
export async function beatLink(
  db: Db,
  replica: string,
  { cluster, epoch, heard }: { cluster: string; epoch: number; heard: boolean },
): Promise<ClusterState | null> {
  if (heard) {
    const rows = await db
      .update(clusters)
      .set({ link_seen_at: sql`clock_timestamp()` })
      .where(and(eq(clusters.id, cluster), eq(clusters.epoch, epoch), eq(clusters.link_replica_id, replica)))
      .returning({ cluster: clusters.id, agent: clusters.agent_id, epoch: clusters.epoch, seq: clusters.seq })
    if (rows[0]) return rows[0]
  }
  return (await clusterStates(db, [cluster])).get(cluster) ?? null
}

/** Frees links whose holder has said nothing for so long: it was cut off without a word. */
export async function releaseSilentLinks(db: Db, view: ClusterEventView, replica: string, silentMs: number): Promise<void> {
  await db.transaction(async tx => {
    const rows = await tx
      .update(clusters)
      .set({ link_replica_id: null })
      .where(
        and(
          eq(clusters.link_replica_id, replica),
          sql`${clusters.link_seen_at} < clock_timestamp() - ${`${silentMs} milliseconds`}::interval`,
        ),
      )
      .returning({ id: clusters.id, project: clusters.project_id })
    for (const row of rows) await tellCluster(tx, view, row.id, row.project)
  })
}

/** Replica and address that hold the cluster's link now; null: nobody. */
export async function linkHolder(db: Db, cluster: string): Promise<{ replica: string; url: string | null } | null> {
  const rows = await db.execute<{ replica: string; url: string | null }>(sql`
    select replicas.id as replica, replicas.url from clusters join replicas on replicas.id = clusters.link_replica_id
    where clusters.id = ${cluster} and replicas.seen_at > clock_timestamp() - interval '30 seconds'
      and clusters.link_seen_at > clock_timestamp() - interval '45 seconds'`)
  return rows[0] ?? null
}
