import { z } from '@hono/zod-openapi'
import { terminalSize } from '#protocol/terminal-frames.ts'
import { PageQuery, pageOf } from '../paging.ts'

const time = z.string().openapi({ format: 'date-time' })
const { cols, rows } = terminalSize

export const TerminalCreate = z
  .strictObject({
    session: z.string().max(64).optional().openapi({ description: 'Which session to step into.' }),
    job: z.string().max(64).optional().openapi({
      description: 'Which job to step into: a `run` or `build` that runs; what a `manifest` applied or a `deploy` rolled out.',
    }),
    pod: z
      .string()
      .max(253)
      .optional()
      .openapi({ description: 'Kubernetes; absent: the one there is (of several, one must be named).' }),
    container: z.string().max(63).optional().openapi({ description: 'Kubernetes; absent: where its programs run.' }),
    shell: z
      .string()
      .min(1)
      .max(256)
      .regex(/^[\w./+-]+$/, 'a name or path of a program')
      .optional()
      .openapi({ description: 'Absent: bash, or sh.' }),
    cols: z.int().min(cols.min).max(cols.max).default(cols.default),
    rows: z.int().min(rows.min).max(rows.max).default(rows.default),
    idle_timeout_seconds: z
      .int()
      .min(10)
      .max(86_400)
      .default(1800)
      .openapi({ description: 'Ended after so long without a key pressed, or output that somebody sees.' }),
  })
  .openapi('TerminalCreate')
export type TerminalCreate = z.infer<typeof TerminalCreate>

export const Terminal = z
  .object({
    id: z.string(),
    object: z.literal('terminal'),
    project: z.string(),
    user: z.string(),
    cluster: z.string(),
    session: z.string().nullable(),
    job: z.string().nullable(),
    pod: z.string().nullable(),
    container: z.string().nullable(),
    shell: z.string().nullable(),
    cols: z.int(),
    rows: z.int(),
    status: z.enum(['created', 'running', 'ended']).openapi({ description: 'The shell is made when it is first opened.' }),
    status_reason: z.string().nullable(),
    exit_code: z.int().nullable(),
    idle_timeout_seconds: z.int(),
    url: z.string().openapi({ description: 'WebSocket; `?offset=` goes on where a stream before it was cut.' }),
    created_at: time,
    started_at: time.nullable(),
    last_activity_at: time.nullable(),
    ended_at: time.nullable(),
  })
  .openapi('Terminal')
export type Terminal = z.infer<typeof Terminal>

export const TerminalPage = pageOf(Terminal, 'TerminalList')

export const TerminalFilters = PageQuery.extend({
  session: z.string().max(64).optional(),
  job: z.string().max(64).optional(),
  status: z.enum(['created', 'running', 'active', 'ended']).optional().openapi({ description: '`active`: not ended.' }),
})
export type TerminalFilters = z.infer<typeof TerminalFilters>

export const TerminalsOf = z.object({ session: z.string().max(64).optional(), job: z.string().max(64).optional() })

export const TerminalTicket = z
  .object({
    id: z.string(),
    object: z.literal('ticket'),
    ticket: z
      .string()
      .openapi({ description: 'Send it as WebSocket subprotocol `ticket.<value>` beside `binary`, or as `?ticket=`.' }),
    url: z.string(),
    stream: z.literal('terminal'),
    viewer: z.string(),
    created_at: time,
    expires_at: time,
  })
  .openapi('TerminalTicket')
