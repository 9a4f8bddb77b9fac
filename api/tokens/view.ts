/** Row -> the JSON of a token. There is no secret in the row to leak. */
import type { InferSelectModel } from 'drizzle-orm'
import type { tokens } from '#db/schema.ts'
import type { Scope } from '../context.ts'
import type { Token } from './schema.ts'

export type TokenRow = InferSelectModel<typeof tokens>

const iso = (at: Date | null) => at?.toISOString() ?? null
const over = (at: Date | null, now: Date) => at !== null && at <= now

function statusOf(row: TokenRow, now: Date): Token['status'] {
  if (row.revoked_at) return 'revoked'
  if (over(row.expires_at, now) || over(row.grace_until, now)) return 'expired'
  return row.grace_until ? 'rotated' : 'active'
}

export function tokenView(row: TokenRow, now: Date): Token {
  return {
    id: row.id,
    object: 'token',
    name: row.name,
    project: row.project_id,
    user: row.user_id,
    scopes: row.scopes as Scope[],
    status: statusOf(row, now),
    last4: row.last4,
    allowed_cidrs: row.allowed_cidrs,
    limits: row.limits,
    expires_at: iso(row.expires_at),
    grace_until: iso(row.grace_until),
    revoked_at: iso(row.revoked_at),
    rotated_from: row.rotated_from,
    created_by: row.created_by,
    last_used_at: iso(row.last_used_at),
    created_at: row.created_at.toISOString(),
  }
}
