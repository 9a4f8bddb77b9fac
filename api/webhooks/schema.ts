import { z } from '@hono/zod-openapi'
import { jobFields } from '../jobs/schema.ts'
import { BuildFields, GitSource } from '../jobs/specs/build.ts'
import { DeployFields } from '../jobs/specs/deploy.ts'

const time = z.string().openapi({ format: 'date-time' })
const mapping = z.record(z.string().max(200), z.string().max(512))

const { upload: _, ...ofRepository } = BuildFields
export const HookBuild = z.strictObject({ ...ofRepository, git: GitSource, ...jobFields }).openapi('HookBuild')
export const HookDeploy = z
  .strictObject({
    mappings: mapping.openapi({
      description: 'As of a deploy; `{image}` stands for the image that was built.',
      example: { web: '{image}' },
    }),
    namespace: DeployFields.namespace,
    ready_timeout_seconds: DeployFields.ready_timeout_seconds,
    cluster: jobFields.cluster,
  })
  .openapi('HookDeploy')

export const WebhookCreate = z
  .strictObject({
    name: z.string().min(1).max(100).nullish(),
    provider: z.enum(['github', 'gitlab']),
    secret: z
      .string()
      .min(16)
      .max(256)
      .nullish()
      .openapi({ description: 'What the sender signs with (GitHub) or sends (GitLab); absent: one is made and shown once.' }),
    branches: z
      .string()
      .max(200)
      .regex(/^[A-Za-z0-9*._/,-]+$/, 'Must be names or patterns, comma separated.')
      .default('main')
      .openapi({
        description: 'Branches that begin a build; `*` is anything but `/`, `**` anything.',
        example: 'main,release/*',
      }),
    build: HookBuild.openapi({ description: 'The build; its `git.ref` is the pushed commit.' }),
    deploy: HookDeploy.nullish().openapi({ description: 'Follows a build that succeeded. Needs the scope manifests.' }),
  })
  .openapi('WebhookCreate')
export type WebhookCreate = z.infer<typeof WebhookCreate>

export const WebhookPatch = z
  .strictObject({
    name: z.string().min(1).max(100).nullish(),
    branches: WebhookCreate.shape.branches.unwrap().optional(),
    enabled: z.boolean().optional().openapi({ description: 'false: what is pushed is answered and begins nothing.' }),
  })
  .openapi('WebhookPatch')
export type WebhookPatch = z.infer<typeof WebhookPatch>

export const Webhook = z
  .object({
    id: z.string(),
    object: z.literal('webhook'),
    name: z.string().nullable(),
    project: z.string(),
    provider: z.enum(['github', 'gitlab']),
    branches: z.string(),
    enabled: z.boolean(),
    build: z.record(z.string(), z.unknown()),
    deploy: z.record(z.string(), z.unknown()).nullable(),
    url: z.string().openapi({ description: 'Where the git server sends its pushes.' }),
    created_at: time,
    last_delivery_at: time.nullable(),
  })
  .openapi('Webhook')
export const WebhookWithSecret = Webhook.extend({ secret: z.string().openapi({ description: 'Shown once.' }) }).openapi(
  'WebhookWithSecret',
)

export const HookAnswer = z
  .object({
    object: z.literal('delivery'),
    action: z.enum(['build', 'ignored', 'repeated']),
    detail: z.string(),
    job: z.string().nullable(),
  })
  .openapi('HookAnswer')
