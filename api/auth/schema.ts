/** What goes in and comes out of login and `/v1/me`. */
import { z } from '@hono/zod-openapi'
import { scopes } from '../context.ts'
import { Limits, UsageFigures } from '../projects/schema.ts'

export const Login = z.strictObject({ token: z.string().max(200) }).openapi('Login')
export type Login = z.infer<typeof Login>

const time = z.string().openapi({ format: 'date-time' })

export const Me = z
  .object({
    id: z.string(),
    object: z.literal('me'),
    project: z.object({ id: z.string(), object: z.literal('project'), name: z.string() }),
    user: z.string(),
    token: z.object({
      id: z.string(),
      name: z.string(),
      scopes: z.array(z.enum(scopes)),
      expires_at: time.nullable(),
      last4: z.string(),
    }),
    scopes: z.array(z.enum(scopes)),
    limits: Limits,
    usage: UsageFigures,
    remaining: Limits.openapi({ description: 'Limit minus use; null: no limit.' }),
    created_at: time,
  })
  .openapi('Me')
export type Me = z.infer<typeof Me>
