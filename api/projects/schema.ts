/** What goes in and comes out of `/v1/projects`. Quotas are told and given as Kubernetes quantities. */
import { z } from '@hono/zod-openapi'
import { pageOf } from '../paging.ts'
import { BytesQuantity, CpuQuantity } from '../templates/schema.ts'

const printable = /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u
const count = z.int().min(0).max(1_000_000)
const time = z.string().openapi({ format: 'date-time' })

/** `"0"` is a sensible limit, though not a sensible amount. */
const orZero = <T extends z.ZodType>(quantity: T) => z.union([z.literal('0'), quantity])

const quotas = {
  max_sessions: count.nullable(),
  max_cpu: orZero(CpuQuantity).nullable(),
  max_memory: orZero(BytesQuantity).nullable(),
  max_storage: orZero(BytesQuantity).nullable(),
  max_jobs: count.nullable(),
  requests_per_minute: z.int().min(1).max(1_000_000).nullable(),
  max_streams: count.nullable(),
  max_sessions_per_user: count.nullable(),
  max_streams_per_user: count.nullable(),
}

export const QuotasInput = z.strictObject(quotas).partial().openapi('QuotasInput')
export type QuotasInput = z.infer<typeof QuotasInput>

export const Limits = z
  .object({
    max_sessions: z.int().nullable(),
    max_cpu: z.string().nullable(),
    max_memory: z.string().nullable(),
    max_storage: z.string().nullable(),
    max_jobs: z.int().nullable(),
    requests_per_minute: z.int().nullable(),
    max_streams: z.int().nullable(),
    max_sessions_per_user: z.int().nullable(),
    max_streams_per_user: z.int().nullable(),
  })
  .openapi('Limits', { description: 'null: no limit.' })
export type Limits = z.infer<typeof Limits>

export const UsageFigures = z
  .object({ sessions: z.int(), cpu: z.string(), memory: z.string(), storage: z.string(), jobs: z.int(), streams: z.int() })
  .openapi('Usage', {
    description:
      'What is held now, also by sessions of offline clusters. `storage`: of volumes and living sessions; `jobs`: in clusters.',
  })
export type UsageFigures = z.infer<typeof UsageFigures>

const name = z.string().min(1).max(100).regex(printable, 'Must not contain control characters.')

export const ProjectCreate = z
  .strictObject({ name, quotas: QuotasInput.optional(), ...QuotasInput.shape })
  .openapi('ProjectCreate', { description: 'Quotas inside `quotas`, or beside the name; absent: no limit.' })
export type ProjectCreate = z.infer<typeof ProjectCreate>

export const ProjectPatch = z
  .strictObject({
    name: name.optional(),
    quotas: QuotasInput.optional(),
    ...QuotasInput.shape,
    suspended: z.boolean().optional().openapi({ description: 'true: every token of the project stops working.' }),
  })
  .openapi('ProjectPatch')
export type ProjectPatch = z.infer<typeof ProjectPatch>

export const Project = z
  .object({
    id: z.string(),
    object: z.literal('project'),
    name: z.string(),
    quotas: Limits,
    usage: UsageFigures,
    suspended_at: time.nullable(),
    created_at: time,
  })
  .openapi('Project')
export type Project = z.infer<typeof Project>

export const ProjectPage = pageOf(Project, 'ProjectList')

export const ForceQuery = z.object({
  force: z.enum(['true', 'false']).optional().openapi({ description: '`true`: also while sessions live; they end.' }),
})
