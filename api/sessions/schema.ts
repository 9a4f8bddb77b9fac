/** What goes in and comes out of `/v1/sessions`. These schemas are the OpenAPI document and the dashboard's types. */
import { z } from '@hono/zod-openapi'
import type { SessionStatus } from '#db/schema.ts'
import { browserNames, Display, PodView, startUrlWaits } from '#protocol/session-spec.ts'
import { Egress } from '../templates/egress.ts'
import { Control } from '../viewers/schema.ts'
import { sessionStatuses } from './lifecycle.ts'

const day = 86_400
const word = z.string().min(1).max(63)

/** Text people read: no control characters. */
// biome-ignore lint/complexity/useRegexLiterals: the escapes are clearer so
export const printable = new RegExp('^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]*$', 'u')

export const SessionName = z.string().min(1).max(100).regex(printable, 'Must not contain control characters.').openapi({
  description: 'Get-or-create within project and user: while a session of this name lives, create answers it with 200.',
})

const labelKey = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, 'A label key is letters, digits, `.`, `_`, `-`, `/`.')
const labelValue = z
  .string()
  .max(63)
  .regex(/^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/, 'A label value is at most 63 letters, digits, `.`, `_`, `-`.')
export const Labels = z.record(labelKey, labelValue).refine(map => Object.keys(map).length <= 32, 'At most 32 labels.')

export const StartUrl = z
  .string()
  .max(2048)
  .refine(url => {
    if (/^about:blank$/i.test(url) || /^data:/i.test(url)) return true
    return /^https?:\/\/[^/?#]/i.test(url) && URL.canParse(url)
  }, 'Must be an http:, https: or data: URL, or about:blank.')

const quantity = z.string().max(32)
export const Resources = z
  .strictObject({ cpu: quantity.optional(), memory: quantity.optional(), storage: quantity.optional() })
  .openapi({ description: 'Limits, as Kubernetes quantities: `{"cpu":"2","memory":"2Gi"}`.' })

export const Env = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'A variable name is letters, digits and `_`.'),
    z.string().max(32_768),
  )
  .refine(map => Object.keys(map).length <= 100, 'At most 100 variables.')

export const Ttl = z
  .int()
  .min(1)
  .max(30 * day)
export const IdleTimeout = z
  .int()
  .min(1)
  .max(7 * day)

export const SessionCreate = z
  .strictObject({
    template: word.openapi({ description: 'Id from `GET /v1/templates`, e.g. `chromium`.', example: 'chromium' }),
    name: SessionName.nullish(),
    cluster: z
      .string()
      .max(100)
      .nullish()
      .openapi({ description: 'Id or name; absent: the least loaded one that can serve it.' }),
    selector: Labels.nullish().openapi({ description: 'Only clusters that carry these labels.' }),
    browser: z.enum(browserNames).nullish(),
    headless: z.boolean().nullish().openapi({ description: 'Without a screen: no `vnc`, and screenshots are of the page.' }),
    start_url: StartUrl.nullish(),
    start_url_wait: z.enum(startUrlWaits).nullish().openapi({
      description:
        'What `running` waits for once `start_url` is being opened: nothing (default), its document, or all of it. A page that cannot be opened is told in `notes`.',
    }),
    display: Display.strict().nullish(),
    resources: Resources.nullish(),
    env: Env.nullish(),
    volume: z
      .string()
      .max(64)
      .nullish()
      .openapi({ description: 'Id of a volume: its files become the home folder and outlive the session.' }),
    labels: Labels.nullish(),
    ttl_seconds: Ttl.nullish().openapi({ description: 'Absolute life; absent: the template’s, null: no end.' }),
    idle_timeout_seconds: IdleTimeout.nullish().openapi({
      description: 'Ends after this long without viewer input, script traffic or touch; absent: the template’s, null: never.',
    }),
    start_timeout_seconds: z
      .int()
      .min(1)
      .max(3600)
      .nullish()
      .openapi({ description: 'Not running by then: `failed` with `start_timeout`. Default 120, or the template’s.' }),
    recording: z.boolean().nullish(),
    clipboard: z.enum(['none', 'in', 'out', 'both']).nullish(),
    egress: Egress.nullish(),
  })
  .openapi('SessionCreate')
export type SessionCreate = z.infer<typeof SessionCreate>

export const SessionPatch = z
  .strictObject({
    name: SessionName.nullable().optional(),
    labels: Labels.optional(),
    display: Display.strict().optional().openapi({ description: 'Resizes the live display.' }),
    ttl_seconds: Ttl.nullable().optional().openapi({ description: 'Counted from now; null: no end.' }),
    idle_timeout_seconds: IdleTimeout.nullable().optional(),
  })
  .openapi('SessionPatch')
export type SessionPatch = z.infer<typeof SessionPatch>

export const SessionTouch = z
  .strictObject({
    ttl_seconds: Ttl.optional().openapi({ description: 'New life, counted from now; absent: the session’s own ttl_seconds.' }),
  })
  .openapi('SessionTouch')

const time = z.string().openapi({ format: 'date-time' })

export const shownStatuses: [SessionStatus | 'unreachable', ...(SessionStatus | 'unreachable')[]] = [
  'unreachable',
  ...sessionStatuses,
]

export const Session = z
  .object({
    id: z.string(),
    object: z.literal('session'),
    name: z.string().nullable(),
    project: z.string(),
    user: z.string(),
    template: z.string(),
    kind: z.enum(['browser', 'desktop', 'app']),
    browser: z.enum(browserNames).nullable(),
    headless: z.boolean(),
    start_url: z.string().nullable(),
    cluster: z.string().nullable().openapi({ description: 'Id; null while queued.' }),
    status: z.enum(shownStatuses).openapi({ description: '`unreachable`: the cluster is offline and nobody knows.' }),
    status_reason: z.string().nullable(),
    phases: z.array(z.object({ phase: z.string(), at: time })),
    generation: z.int(),
    display: Display.nullable(),
    resources: Resources,
    labels: z.record(z.string(), z.string()),
    volume: z.string().nullable(),
    pool: z.string().nullable().openapi({ description: 'The pool it was taken from, warm; null: it was started for you.' }),
    clipboard: z.enum(['none', 'in', 'out', 'both']),
    egress: z.object({ mode: z.string(), allow: z.array(z.string()) }),
    recording: z.boolean(),
    control: Control,
    created_at: time,
    started_at: time.nullable(),
    ended_at: time.nullable(),
    ttl_seconds: z.int().nullable(),
    idle_timeout_seconds: z.int().nullable(),
    expires_at: time.nullable(),
    idle_expires_at: time.nullable(),
    last_activity_at: time.nullable(),
    termination_reason: z
      .string()
      .nullable()
      .openapi({ description: '`requested`, `ttl`, `idle`, `failed`, `drained`, `start_timeout`.' }),
    queue: z.object({ position: z.int(), reason: z.string() }).nullable(),
    pod: PodView.nullable(),
    versions: z.record(z.string(), z.string()),
    notes: z.array(z.string()),
    urls: z.object({
      view: z.string(),
      vnc: z.string().nullable(),
      playwright: z.string().nullable(),
      cdp: z.string().nullable(),
    }),
  })
  .openapi('Session')
export type Session = z.infer<typeof Session>

export const SessionFilters = z.object({
  status: z.string().max(200).optional().openapi({ description: 'One or several, comma separated; also `active` and `ended`.' }),
  cluster: z.string().max(100).optional(),
  template: z.string().max(63).optional(),
  user: z.string().max(32).optional(),
  name: z.string().max(100).optional(),
  project: z.string().max(64).optional().openapi({ description: 'Admins only.' }),
  labels: z.string().max(1000).optional().openapi({ description: '`key=value,key2=value2`: all must match.' }),
})
export type SessionFilters = z.infer<typeof SessionFilters>
