/** A template: everything a session takes when its creator does not say otherwise. The catalogue of `GET /v1/templates`. */
import { z } from '@hono/zod-openapi'
import { browserNames, clipboardPolicies, Display, sessionKinds, startUrlWaits } from '#protocol/session-spec.ts'
import { pageOf } from '../paging.ts'
import { Egress } from './egress.ts'
import { askedBytes, cpuMillis, storageBytes } from './quantity.ts'

const day = 86_400
/** Text people read, on one line or several: no other control characters, nothing that turns the direction of writing. */
const printable = /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u
const prose = /^(?:[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]|\n|\t)*$/u

export const TemplateId = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'An id is 1 to 63 of a-z, 0-9 and `-`, not at its ends.')
  .openapi({ description: 'A chosen word.', example: 'chromium' })

/** Runs a parser of quantities and turns its words into an issue. */
function quantity(read: (text: string) => number) {
  return z
    .string()
    .max(32)
    .superRefine((text, issues) => {
      try {
        read(text)
      } catch (error) {
        issues.addIssue({ code: 'custom', message: (error as Error).message })
      }
    })
}
export const CpuQuantity = quantity(cpuMillis).openapi({ description: 'Kubernetes quantity: `500m`, `2`.', example: '2' })
export const BytesQuantity = quantity(askedBytes).openapi({
  description: 'Kubernetes quantity: `512Mi`, `2Gi`.',
  example: '2Gi',
})

const labels = z
  .record(
    z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/, 'A label key is letters, digits, `.`, `_`, `-`, `/`.'),
    z
      .string()
      .regex(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/, 'A label value is at most 63 letters, digits, `.`, `_`, `-`.'),
  )
  .refine(map => Object.keys(map).length <= 32, 'At most 32 labels.')

const env = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'A variable name is letters, digits and `_`.'),
    z
      .string()
      .max(32_768)
      .refine(value => !value.includes('\0'), 'A value must not contain a NUL.'),
  )
  .refine(map => Object.keys(map).length <= 100, 'At most 100 variables.')

const startUrl = z
  .string()
  .max(2048)
  .refine(
    url => /^about:blank$/i.test(url) || /^data:/i.test(url) || (/^https?:\/\/[^/?#]/i.test(url) && URL.canParse(url)),
    'Must be an http:, https: or data: URL, or about:blank.',
  )

const ports = z
  .array(
    z.strictObject({
      name: z.string().regex(/^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/, 'A port name is 1 to 15 of a-z, 0-9 and `-`.'),
      port: z.int().min(1).max(65_535),
    }),
  )
  .max(32)
  .refine(list => new Set(list.map(p => p.name)).size === list.length, 'Port names must differ.')
  .refine(list => new Set(list.map(p => p.port)).size === list.length, 'Ports must differ.')

/** Fields of session create that a template may close to its users. */
export const overridableFields = [
  'browser',
  'headless',
  'start_url',
  'display',
  'resources',
  'env',
  'volume',
  'ttl_seconds',
  'idle_timeout_seconds',
  'start_timeout_seconds',
  'recording',
  'clipboard',
  'egress',
] as const

export const TemplateBody = z.strictObject({
  icon: z.string().max(512).regex(printable, 'Must not contain control characters.').optional(),
  category: z.string().max(63).regex(printable, 'Must not contain control characters.').optional(),
  kind: z.enum(sessionKinds),
  image: z
    .string()
    .max(512)
    .regex(/^[A-Za-z0-9][\w.:/@-]*$/, 'Must be a container image reference.')
    .optional()
    .openapi({ description: 'Kubernetes; absent: the agent’s own image for the kind.' }),
  command: z.array(z.string().min(1).max(4096)).min(1).max(64).optional(),
  browser: z.enum(browserNames).optional(),
  headless: z.boolean().optional(),
  start_url: startUrl.optional(),
  start_url_wait: z.enum(startUrlWaits).optional(),
  display: Display.strict().optional(),
  resources: z
    .strictObject({ cpu: CpuQuantity.optional(), memory: BytesQuantity.optional(), storage: BytesQuantity.optional() })
    .optional()
    .openapi({ description: 'Limits.' }),
  requests: z
    .strictObject({ cpu: CpuQuantity.optional(), memory: BytesQuantity.optional() })
    .optional()
    .openapi({ description: 'What a scheduler reserves.' }),
  env: env.optional(),
  ports: ports.optional(),
  volume: z
    .strictObject({ size: BytesQuantity.optional() })
    .optional()
    .openapi({ description: 'Sessions of this template are offered a home that outlives them, of this size.' }),
  restart: z.enum(['never', 'on_failure']).optional(),
  ttl_seconds: z
    .int()
    .min(1)
    .max(30 * day)
    .optional(),
  idle_timeout_seconds: z
    .int()
    .min(1)
    .max(7 * day)
    .optional(),
  start_timeout_seconds: z.int().min(1).max(3600).optional(),
  clipboard: z.enum(clipboardPolicies).optional(),
  egress: Egress.optional(),
  recording: z.boolean().optional(),
  labels: labels.optional(),
  overridable: z
    .array(z.enum(overridableFields))
    .optional()
    .openapi({ description: 'What session create may set; absent: everything.' }),
})
export type TemplateBody = z.infer<typeof TemplateBody>

const named = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(100)
    .regex(printable, 'Must not contain control characters.')
    .optional()
    .openapi({ description: 'Absent: the id.' }),
  description: z.string().max(2000).regex(prose, 'Must not contain control characters.').default(''),
})

/** What does not fit together, told at the field that is wrong. */
function consistent(body: TemplateBody, issues: z.RefinementCtx): void {
  const refuse = (field: keyof TemplateBody, message: string) => issues.addIssue({ code: 'custom', path: [field], message })
  if (body.kind !== 'browser') {
    for (const field of ['browser', 'start_url', 'headless'] as const) {
      if (body[field] !== undefined) refuse(field, 'Only templates of kind browser have one.')
    }
  }
  if (body.kind === 'app' && !body.image && !body.command) refuse('image', 'A template of kind app needs an image or a command.')
  for (const [what, read] of [['cpu', cpuMillis] as const, ['memory', storageBytes] as const]) {
    const request = body.requests?.[what]
    const limit = body.resources?.[what]
    if (!request || !limit) continue
    try {
      if (read(request) > read(limit)) refuse('requests', `The request for ${what} is more than its limit in resources.`)
    } catch {
      // Told by the field's own rule.
    }
  }
}

/** GET's answer may be sent back: what it only tells is accepted and ignored. */
const readOnly = z.strictObject({
  object: z.unknown().optional(),
  builtin: z.unknown().optional(),
  created_at: z.unknown().optional(),
  updated_at: z.unknown().optional(),
})

const project = z.string().max(64).nullish().openapi({ description: 'Admins only: whose it is; absent or null: everybody’s.' })

export const TemplateCreate = z
  .strictObject({ id: TemplateId, ...named.shape, ...TemplateBody.shape, project })
  .superRefine(consistent)
  .openapi('TemplateCreate')
export type TemplateCreate = z.infer<typeof TemplateCreate>

export const TemplateReplace = z
  .strictObject({
    ...readOnly.shape,
    id: z.string().optional(),
    project: z.unknown().optional(),
    ...named.shape,
    ...TemplateBody.shape,
  })
  .superRefine(consistent)
  .openapi('TemplateReplace')
export type TemplateReplace = z.infer<typeof TemplateReplace>

export const Template = z
  .object({
    id: z.string(),
    object: z.literal('template'),
    name: z.string(),
    description: z.string(),
    project: z.string().nullable().openapi({ description: 'null: seen by every project.' }),
    ...TemplateBody.shape,
    created_at: z.string().openapi({ format: 'date-time' }),
    updated_at: z.string().openapi({ format: 'date-time' }),
  })
  .openapi('Template')
export type Template = z.infer<typeof Template>

export const TemplatePage = pageOf(Template, 'TemplateList')
