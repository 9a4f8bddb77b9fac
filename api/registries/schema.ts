import { z } from '@hono/zod-openapi'

const time = z.string().openapi({ format: 'date-time' })

export const RegistryCreate = z
  .strictObject({
    host: z
      .string()
      .max(255)
      .regex(
        /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/,
        'Must be a host such as registry.example.com or registry.example.com:5000.',
      ),
    username: z
      .string()
      .min(1)
      .max(256)
      .regex(/^[^:\p{C}]+$/u, 'Must not contain : or control characters.'),
    password: z
      .string()
      .min(1)
      .max(8192)
      .regex(/^[^\p{Cc}]+$/u, 'Must not contain control characters.')
      .openapi({ description: 'Password or token; never answered.' }),
    insecure: z.boolean().nullish().openapi({ description: 'Spoken to without TLS. Default false.' }),
  })
  .openapi('RegistryCreate')
export type RegistryCreate = z.infer<typeof RegistryCreate>

export const Registry = z
  .object({
    id: z.string(),
    object: z.literal('registry'),
    project: z.string(),
    host: z.string(),
    username: z.string(),
    insecure: z.boolean(),
    created_at: time,
    updated_at: time,
  })
  .openapi('Registry')
export type Registry = z.infer<typeof Registry>

export const RegistryTest = z
  .object({
    object: z.literal('registry_test'),
    ok: z.boolean().nullable().openapi({ description: 'null: not known yet; the job says.' }),
    detail: z.string(),
    job: z.string(),
  })
  .openapi('RegistryTest')
