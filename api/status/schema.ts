/** What `/v1/status` and `/v1/monitor/…` answer. */
import { z } from '@hono/zod-openapi'
import { Cluster, schedulings } from '../clusters/schema.ts'

const time = z.string().openapi({ format: 'date-time' })

export const Status = z
  .object({
    id: z.literal('status'),
    object: z.literal('status'),
    active: z.int().openapi({ description: 'Sessions that hold a place, on the clusters you may use.' }),
    queued: z.int().openapi({ description: 'Sessions that wait for one.' }),
    capacity: z.int().openapi({ description: 'Places on the clusters that are online.' }),
    accepting: z.boolean().openapi({ description: 'A cluster is online, open and has room.' }),
    clusters: z.object({ online: z.int(), offline: z.int(), pending: z.int() }),
    version: z.string(),
    created_at: time,
  })
  .openapi('Status')
export type Status = z.infer<typeof Status>

export const SystemFigures = z
  .object({
    id: z.string().openapi({ description: 'The replica that answered.' }),
    object: z.literal('system'),
    version: z.string(),
    platform: z.string(),
    uptime_seconds: z.number(),
    memory_bytes: z.number().nullable(),
    cpu_seconds: z.number().nullable(),
    links: z.int().openapi({ description: 'Agents’ control links this replica holds.' }),
    streams: z.int().openapi({ description: 'Live streams this replica holds.' }),
    replicas: z.array(z.object({ id: z.string(), seen_at: time, started_at: time })),
    database: z.object({ version: z.string(), size_bytes: z.number(), connections: z.int(), max_connections: z.int() }),
    created_at: time.openapi({ description: 'When the figures were taken.' }),
  })
  .openapi('SystemFigures')
export type SystemFigures = z.infer<typeof SystemFigures>

const figure = z
  .object({ used: z.number().nullable(), capacity: z.number().nullable() })
  .openapi({ description: '`used`: of the whole machine, every 15 s; null where the agent cannot tell (Kubernetes).' })

export const ClusterFigures = z
  .object({
    id: z.string(),
    object: z.literal('cluster_figures'),
    name: z.string(),
    status: Cluster.shape.status,
    scheduling: z.enum(schedulings),
    sessions: z.object({ starting: z.int(), running: z.int(), stopping: z.int(), capacity: z.int() }),
    streams: z.int(),
    cpu_millis: figure,
    memory_bytes: figure,
    last_seen_at: time.nullable(),
    created_at: time,
  })
  .openapi('ClusterFigures')
export type ClusterFigures = z.infer<typeof ClusterFigures>

export const ClusterFiguresList = z
  .object({ object: z.literal('list'), data: z.array(ClusterFigures), has_more: z.boolean(), next_cursor: z.string().nullable() })
  .openapi('ClusterFiguresList')
