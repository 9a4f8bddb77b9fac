/** What goes in and comes out of `/v1/pools`. */
import { z } from '@hono/zod-openapi'
import { browserNames, Display } from '#protocol/session-spec.ts'
import { PageQuery, pageOf } from '../paging.ts'
import { Resources } from '../sessions/schema.ts'

const time = z.string().openapi({ format: 'date-time' })
const day = 86_400
const size = z.int().min(0).max(100)
const seconds = z.int().min(10).max(day)

export const PoolOverrides = z
  .strictObject({
    browser: z.enum(browserNames).optional(),
    headless: z.boolean().optional(),
    display: Display.strict().optional(),
    resources: Resources.optional(),
  })
  .openapi({ description: 'Over the template; a create must ask for the same, but for the display, to get one of these.' })

export const PoolCreate = z
  .strictObject({
    template: z.string().min(1).max(63),
    cluster: z.string().max(100).nullish().openapi({ description: 'Id or name; absent: the only one you can use.' }),
    size: size.openapi({ description: 'Sessions kept warm while they are asked for.' }),
    idle_size: size.nullish().openapi({ description: 'Kept when nobody has asked for `idle_after_seconds`; default 1.' }),
    idle_after_seconds: seconds.nullish().openapi({ description: 'Default 1800.' }),
    max_age_seconds: seconds.nullish().openapi({ description: 'An older one is replaced; default 3600.' }),
    overrides: PoolOverrides.nullish(),
  })
  .openapi('PoolCreate')
export type PoolCreate = z.infer<typeof PoolCreate>

export const PoolPatch = z
  .strictObject({
    size: size.optional(),
    idle_size: size.optional(),
    idle_after_seconds: seconds.optional(),
    max_age_seconds: seconds.optional(),
  })
  .openapi('PoolPatch')
export type PoolPatch = z.infer<typeof PoolPatch>

export const Pool = z
  .object({
    id: z.string(),
    object: z.literal('pool'),
    project: z.string().nullable().openapi({ description: 'Its cluster’s; null: it serves every project.' }),
    template: z.string(),
    cluster: z.string(),
    size: z.int(),
    idle_size: z.int(),
    idle_after_seconds: z.int(),
    max_age_seconds: z.int(),
    overrides: PoolOverrides,
    ready: z.int().openapi({ description: 'Warm now.' }),
    starting: z.int(),
    hits: z.int().openapi({ description: 'Creates that got one.' }),
    misses: z.int().openapi({ description: 'Creates that fitted and found none.' }),
    refill_seconds: z.number().nullable().openapi({ description: 'Mean time from start to warm.' }),
    status_reason: z.string().nullable(),
    last_asked_at: time.nullable(),
    created_at: time,
  })
  .openapi('Pool')
export type Pool = z.infer<typeof Pool>

export const PoolPage = pageOf(Pool, 'PoolList')
export const PoolFilters = PageQuery.extend({ cluster: z.string().max(100).optional(), template: z.string().max(63).optional() })
export type PoolFilters = z.infer<typeof PoolFilters>
