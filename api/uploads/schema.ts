/** What is sent to be built: a tar.gz with a Dockerfile in it, by a name of the sender's. */
import { z } from '@hono/zod-openapi'
import { pageOf } from '../paging.ts'

const time = z.string().openapi({ format: 'date-time' })

export const UploadName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'A name is small letters, digits, `.`, `_`, `-`; at most 63.')
  .openapi({ example: 'my-app' })

export const Upload = z
  .object({
    id: z.string(),
    object: z.literal('upload'),
    name: z.string().nullable(),
    project: z.string(),
    user: z.string(),
    bytes: z.int(),
    created_at: time,
    expires_at: time.openapi({ description: 'Kept until then, and while a job that is not over needs it.' }),
  })
  .openapi('Upload')
export type Upload = z.infer<typeof Upload>

export const UploadPage = pageOf(Upload, 'UploadList')
