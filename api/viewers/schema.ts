/** Who watches a session, and which of them may type and point. */
import { z } from '@hono/zod-openapi'

const time = z.string().openapi({ format: 'date-time' })
const role = z.enum(['view', 'control'])
export const controlModes = ['shared', 'single'] as const

export const Control = z
  .object({
    mode: z.enum(controlModes).openapi({
      description:
        '`shared`: every viewer with role `control` may type. `single`: only `viewer`; while it is null or gone, only the session’s own user.',
    }),
    viewer: z.string().nullable(),
  })
  .openapi('Control')

export const Viewer = z
  .object({
    id: z.string().openapi({ description: 'The stream; `viewer` of the ticket that opened it.' }),
    object: z.literal('viewer'),
    session: z.string(),
    via: z.enum(['token', 'link']),
    user: z.string().openapi({ description: 'Whose token it is; of a link: who shared it.' }),
    link: z.string().nullable(),
    role: role.openapi({ description: 'What it may do now.' }),
    granted_role: role.openapi({ description: 'The most it can be given: how it was let in.' }),
    address: z.string().nullable().openapi({ description: 'Told to the session’s user and to admins; null for others.' }),
    asked_at: time.nullable().openapi({ description: 'A guest who asked for control, until somebody decides (PUT …/control).' }),
    since: time,
    created_at: time.openapi({ description: 'As `since`.' }),
  })
  .openapi('Viewer')

export const ViewerList = z
  .object({
    object: z.literal('list'),
    data: z.array(Viewer),
    has_more: z.boolean(),
    next_cursor: z.string().nullable(),
    control: Control,
  })
  .openapi('ViewerList')

export const ControlChange = z
  .strictObject({
    mode: z.enum(controlModes),
    viewer: z
      .string()
      .max(64)
      .nullish()
      .openapi({ description: 'Only for `single`: who gets control. Null or absent: the session’s own user takes it back.' }),
  })
  .openapi('ControlChange')
export type ControlChange = z.infer<typeof ControlChange>
