/** Volumes: files that outlive sessions. One lives on one cluster, from the first session that used it. */
import { z } from '@hono/zod-openapi'
import { PageQuery, pageOf } from '../paging.ts'
import { BytesQuantity } from '../templates/schema.ts'

const time = z.string().openapi({ format: 'date-time' })

export const VolumeName = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u,
    'A name is letters, digits, space, `.`, `_`, `-`, and begins with a letter or digit.',
  )

export const VolumeCreate = z
  .strictObject({
    name: VolumeName.optional().openapi({
      description: 'Get-or-create within project and user; absent: a new one, named by its id.',
    }),
    size: BytesQuantity.optional().openapi({ description: 'Kubernetes quantity; the cluster enforces it where it can.' }),
    cluster: z.string().max(100).nullish().openapi({ description: 'Id or name; absent: where its first session runs.' }),
  })
  .openapi('VolumeCreate')
export type VolumeCreate = z.infer<typeof VolumeCreate>

export const Volume = z
  .object({
    id: z.string(),
    object: z.literal('volume'),
    name: z.string(),
    project: z.string(),
    user: z.string(),
    cluster: z.string().nullable(),
    size: z.string().nullable(),
    session: z.string().nullable().openapi({ description: 'The living session that writes to it; null: free.' }),
    created_at: time,
    last_used_at: time.nullable(),
  })
  .openapi('Volume')
export type Volume = z.infer<typeof Volume>

export const VolumePage = pageOf(Volume, 'VolumeList')
export const VolumeFilters = PageQuery.extend({
  name: z.string().max(63).optional(),
  user: z.string().max(32).optional(),
  cluster: z.string().max(100).optional(),
})
export type VolumeFilters = z.infer<typeof VolumeFilters>
