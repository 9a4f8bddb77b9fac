/** Share links: what their owner sees, and what whoever holds one may ask without an account. */
import { z } from '@hono/zod-openapi'
import { Display } from '#protocol/session-spec.ts'
import { controlModes } from '../viewers/schema.ts'

const time = z.string().openapi({ format: 'date-time' })
const role = z.enum(['view', 'control'])

export const LinkCreate = z
  .strictObject({
    role: role.default('view'),
    ttl_seconds: z
      .int()
      .min(1)
      .max(30 * 86_400)
      .default(3600),
    max_viewers: z.int().min(1).max(100).nullish().openapi({ description: 'Open screens at once; absent: no limit.' }),
  })
  .openapi('LinkCreate')

export const Link = z
  .object({
    id: z.string(),
    object: z.literal('link'),
    session: z.string(),
    role,
    shared_by: z.string(),
    max_viewers: z.int().nullable(),
    viewers: z.int().openapi({ description: 'Open screens now.' }),
    created_at: time,
    expires_at: time,
    revoked_at: time.nullable(),
  })
  .openapi('Link')

export const LinkWithUrl = Link.extend({
  url: z.string().openapi({ description: 'Shown once. The secret is in the fragment, which browsers never send.' }),
}).openapi('LinkWithUrl')

const secret = z.string().max(160)
export const LinkOpen = z
  .strictObject({
    link: secret,
    viewer: z
      .string()
      .max(64)
      .optional()
      .openapi({ description: '`viewer` of a ticket made with this link: what may it do now?' }),
  })
  .openapi('LinkOpen')

export const LinkAsk = z
  .strictObject({ link: secret, viewer: z.string().max(64).openapi({ description: 'Its open screen.' }) })
  .openapi('LinkAsk')

/** All that a stranger with the link learns. */
export const SharedSession = z
  .object({
    object: z.literal('shared_session'),
    name: z.string().nullable(),
    template: z.string(),
    status: z.string(),
    display: Display.nullable(),
    role,
    role_now: role
      .nullable()
      .openapi({ description: 'Of the open screen `viewer`; null when none was asked about or it is closed.' }),
    control_mode: z.enum(controlModes),
    asked_at: time.nullable().openapi({ description: 'When this open screen asked for control; null once that was decided.' }),
    shared_by: z.string(),
    expires_at: time,
  })
  .openapi('SharedSession')
