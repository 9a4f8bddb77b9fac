/** What goes in and comes out of `/v1/tokens`. */
import { z } from '@hono/zod-openapi'
import { scopes } from '../context.ts'
import { PageQuery, pageOf } from '../paging.ts'
import { readNetwork } from './networks.ts'

const day = 86_400
export const defaultLife = 90 * day
export const longestLife = 365 * day
export const longestGrace = 7 * day

export const UserId = z
  .string()
  .regex(/^[0-9a-z]{1,32}$/, 'A user is a word of 1 to 32 of 0-9 and a-z.')
  .openapi({ example: 'ann' })

const printable = /^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u
const time = z.string().openapi({ format: 'date-time' })

const expiry = {
  expires_in_seconds: z.int().min(1).max(longestLife).nullish().openapi({
    description: 'Absent: 90 days, or as long as the acting token. null: never, admins only. At most one year.',
  }),
  expires_at: z.iso.datetime({ offset: true }).nullish().openapi({ description: 'Instead of expires_in_seconds.' }),
  expires: z.literal('never').optional().openapi({ description: 'The same as `expires_in_seconds: null`. Admins only.' }),
}
/** Which end was asked for. */
export interface WantedExpiry {
  expires_in_seconds?: number | null | undefined
  expires_at?: string | null | undefined
  expires?: 'never' | undefined
}
const oneExpiry = (body: WantedExpiry) =>
  [body.expires_in_seconds, body.expires_at, body.expires].filter(value => value !== undefined).length <= 1
const oneExpiryFault = { message: 'Give one of expires_in_seconds, expires_at and expires.', path: ['expires_at'] }

const network = z
  .string()
  .max(50)
  .refine(text => readNetwork(text) !== null, 'Must be an address or a network like 10.0.0.0/8 or 2001:db8::/32.')
const count = z.int().min(0).max(1_000_000)
const ids = z.array(z.string().max(64)).min(1).max(100)

export const TokenBounds = z
  .strictObject({
    max_sessions: count.optional().openapi({ description: 'Living sessions made with it.' }),
    max_streams: count.optional().openapi({ description: 'Open streams at once.' }),
    requests_per_minute: z.int().min(1).max(1_000_000).optional(),
    sessions: ids.optional().openapi({ description: 'Only these sessions, and nothing that is not a session.' }),
    clusters: ids.optional().openapi({ description: 'Only sessions on these clusters, and nothing that is not a session.' }),
  })
  .openapi('TokenLimits', { description: 'Absent: no limit besides the project’s.' })

export const TokenCreate = z
  .strictObject({
    name: z
      .string()
      .min(1)
      .max(100)
      .regex(printable, 'Must not contain control characters.')
      .default('unnamed')
      .openapi({ description: 'For people.' }),
    scopes: z
      .array(z.enum(scopes))
      .max(scopes.length)
      .default([])
      .openapi({ description: 'None unless named; `exec` and `manifests` are in no preset.' }),
    user: UserId.optional().openapi({ description: 'Absent: the acting user. Another one: admins only.' }),
    project: z.string().max(64).optional().openapi({ description: 'Absent: the acting project. Another one: admins only.' }),
    allowed_cidrs: z.array(network).min(1).max(32).nullish().openapi({
      description: 'Networks it may be used from; absent: as the acting token.',
    }),
    limits: TokenBounds.optional(),
    ...expiry,
  })
  .refine(oneExpiry, oneExpiryFault)
  .openapi('TokenCreate')
export type TokenCreate = z.infer<typeof TokenCreate>

export const TokenRotate = z
  .strictObject({
    grace_seconds: z.int().min(0).max(longestGrace).default(0).openapi({
      description: 'The older token stays valid so long, but never beyond its own end. At most 7 days.',
    }),
    ...expiry,
  })
  .refine(oneExpiry, oneExpiryFault)
  .openapi('TokenRotate')
export type TokenRotate = z.infer<typeof TokenRotate>

export const Token = z
  .object({
    id: z.string(),
    object: z.literal('token'),
    name: z.string(),
    project: z.string(),
    user: z.string(),
    scopes: z.array(z.enum(scopes)),
    status: z.enum(['active', 'rotated', 'expired', 'revoked']).openapi({
      description: '`rotated`: replaced by a newer one, still valid until `grace_until`.',
    }),
    last4: z.string(),
    allowed_cidrs: z.array(z.string()).nullable(),
    limits: TokenBounds,
    expires_at: time.nullable(),
    grace_until: time.nullable(),
    revoked_at: time.nullable(),
    rotated_from: z.string().nullable(),
    created_by: z.string().nullable().openapi({ description: 'Id of the token that made it.' }),
    last_used_at: time.nullable().openapi({ description: 'To the minute.' }),
    created_at: time,
  })
  .openapi('Token')
export type Token = z.infer<typeof Token>

export const TokenWithSecret = Token.extend({
  token: z.string().openapi({ description: 'The secret. Shown once.' }),
}).openapi('TokenWithSecret')
export type TokenWithSecret = z.infer<typeof TokenWithSecret>

export const TokenPage = pageOf(Token, 'TokenList')

export const TokenFilters = PageQuery.extend({
  user: UserId.optional(),
  project: z.string().max(64).optional().openapi({ description: 'Admins only.' }),
  status: z.enum(['active', 'ended']).optional(),
})
export type TokenFilters = z.infer<typeof TokenFilters>

export const RevokeQuery = z.object({
  reason: z.enum(['leaked']).optional().openapi({ description: '`leaked`: also every token it was rotated from or into.' }),
})
