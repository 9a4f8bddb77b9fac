/** Row -> the JSON of a cluster. `now` is the database's clock, which also wrote when the link was last seen. */
import type { InferSelectModel } from 'drizzle-orm'
import type { clusters } from '#db/schema.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import type { Cluster } from './schema.ts'

export type ClusterRow = InferSelectModel<typeof clusters>

export function clusterStatus(row: ClusterRow, now: Date): Cluster['status'] {
  if (row.agent_id === null) return 'pending'
  const seen = row.link_replica_id === null ? null : row.link_seen_at
  return seen !== null && now.getTime() - seen.getTime() < linkTiming.offline ? 'online' : 'offline'
}

export function clusterView(row: ClusterRow, now: Date): Cluster {
  const status = clusterStatus(row, now)
  return {
    id: row.id,
    object: 'cluster',
    name: row.name,
    project: row.project_id,
    labels: row.labels,
    status,
    connected: status === 'online',
    scheduling: row.scheduling,
    agent_version: row.agent_version,
    runtime: row.capabilities?.runtime ?? null,
    capabilities: row.capabilities,
    capacity: row.capabilities?.capacity ?? null,
    load: row.load,
    connected_at: status === 'online' ? (row.link_since?.toISOString() ?? null) : null,
    last_seen_at: row.link_seen_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  }
}
