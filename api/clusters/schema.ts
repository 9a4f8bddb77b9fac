/** What goes in and comes out of `/v1/clusters`. */
import { z } from '@hono/zod-openapi'
import { AgentCapabilities, AgentLoad } from '#protocol/link-messages.ts'
import { PageQuery, pageOf } from '../paging.ts'

const time = z.string().openapi({ format: 'date-time' })

export const ClusterName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'A name is 1 to 63 of a-z, 0-9, `.`, `_`, `-`, not at its ends.')
  .openapi({ example: 'edge-1' })

export const ClusterLabels = z
  .record(
    z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, 'A label key is letters, digits, `.`, `_`, `-`, `/`.'),
    z
      .string()
      .regex(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/, 'A label value is at most 63 letters, digits, `.`, `_`, `-`.'),
  )
  .refine(map => Object.keys(map).length <= 32, 'At most 32 labels.')

export const schedulings = ['open', 'cordoned', 'draining'] as const

export const ClusterCreate = z
  .strictObject({
    name: ClusterName,
    labels: ClusterLabels.default({}),
    project: z
      .string()
      .max(64)
      .nullish()
      .openapi({ description: 'Admins only: whose it is; absent or null: shared by all projects.' }),
  })
  .openapi('ClusterCreate')
export type ClusterCreate = z.infer<typeof ClusterCreate>

export const ClusterPatch = z
  .strictObject({
    name: ClusterName.optional(),
    labels: ClusterLabels.optional(),
    scheduling: z
      .enum(schedulings)
      .optional()
      .openapi({ description: '`cordoned`: takes no new sessions; `draining`: also ends those it has.' }),
  })
  .openapi('ClusterPatch')
export type ClusterPatch = z.infer<typeof ClusterPatch>

export const ClusterEnroll = z
  .strictObject({
    expires_in_seconds: z
      .int()
      .min(60)
      .max(7 * 86_400)
      .default(3600),
  })
  .openapi('ClusterEnroll')
export type ClusterEnroll = z.infer<typeof ClusterEnroll>

export const ClusterDrain = z
  .strictObject({
    drain: z
      .boolean()
      .optional()
      .openapi({ description: '`true` (the default): end its sessions and take no new ones; `false`: open again.' }),
    cordon: z.boolean().optional().openapi({ description: '`true`: only take no new ones; `false`: open again.' }),
  })
  .refine(body => body.drain === undefined || body.cordon === undefined, 'Give drain or cordon, not both.')
  .openapi('ClusterDrain')
export type ClusterDrain = z.infer<typeof ClusterDrain>

export const Enrollment = z
  .object({
    token: z.string().openapi({ description: 'Join token: works once. Shown once.' }),
    expires_at: time,
    command: z.string().openapi({ description: 'Installs the agent in a Kubernetes cluster.' }),
    commands: z.object({ kubernetes: z.string(), local: z.string() }),
  })
  .openapi('Enrollment')
export type Enrollment = z.infer<typeof Enrollment>

export const Cluster = z
  .object({
    id: z.string(),
    object: z.literal('cluster'),
    name: z.string(),
    project: z.string().nullable().openapi({ description: 'null: shared by all projects.' }),
    labels: z.record(z.string(), z.string()),
    status: z.enum(['pending', 'online', 'offline']).openapi({ description: '`pending`: its agent has never enrolled.' }),
    connected: z.boolean(),
    scheduling: z.enum(schedulings),
    agent_version: z.string().nullable(),
    runtime: z.enum(['local', 'kubernetes']).nullable(),
    capabilities: AgentCapabilities.nullable().openapi({ description: 'As its agent last said.' }),
    capacity: AgentCapabilities.shape.capacity.nullable(),
    load: AgentLoad.nullable().openapi({ description: 'As its agent last reported.' }),
    connected_at: time.nullable(),
    last_seen_at: time.nullable(),
    created_at: time,
  })
  .openapi('Cluster')
export type Cluster = z.infer<typeof Cluster>

export const ClusterWithEnrollment = Cluster.extend({ enrollment: Enrollment }).openapi('ClusterWithEnrollment')
export type ClusterWithEnrollment = z.infer<typeof ClusterWithEnrollment>

export const ClusterPage = pageOf(Cluster, 'ClusterList')

export const ClusterFilters = PageQuery.extend({
  status: z.enum(['pending', 'online', 'offline']).optional(),
  name: z.string().max(100).optional(),
})
export type ClusterFilters = z.infer<typeof ClusterFilters>
