/** What goes in and comes out of `/v1/secrets`: values only go in. */
import { z } from '@hono/zod-openapi'
import { pageOf } from '../paging.ts'

const time = z.string().openapi({ format: 'date-time' })

export const SecretCreate = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'A secret’s name is letters, digits, `.`, `_`, `-`.')
      .openapi({ example: 'registry-password' }),
    value: z.string().min(1).max(65_536),
  })
  .openapi('SecretCreate')
export type SecretCreate = z.infer<typeof SecretCreate>

export const Secret = z
  .object({
    id: z.string(),
    object: z.literal('secret'),
    name: z.string(),
    project: z.string(),
    created_at: time,
    updated_at: time,
  })
  .openapi('Secret')
export type Secret = z.infer<typeof Secret>

export const SecretList = pageOf(Secret, 'SecretList')
