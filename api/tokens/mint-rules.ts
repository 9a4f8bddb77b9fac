/**
 * A token cannot mint a stronger, longer or foreign one. Pure; `now` is the database's clock. The same rules hold for rotation, which
 * hands out a secret just as well.
 */
import type { Scope, TokenActor } from '../context.ts'
import { invalid, Problem } from '../problem.ts'
import { defaultLife, longestLife, type WantedExpiry } from './schema.ts'

export interface Wanted {
  project: string
  user: string
  scopes: readonly Scope[]
  /** null: never. */
  expiresAt: Date | null
}

const isAdmin = (actor: TokenActor) => actor.scopes.includes('admin')

/** The end that was asked for; without a wish `otherwise`, cut to the acting token's own. */
export function wantedEnd(wish: WantedExpiry, actor: TokenActor, now: Date, otherwise?: Date | null): Date | null {
  if (wish.expires === 'never' || wish.expires_in_seconds === null || wish.expires_at === null) return null
  if (wish.expires_in_seconds !== undefined) return new Date(now.getTime() + wish.expires_in_seconds * 1000)
  if (wish.expires_at !== undefined) {
    const at = new Date(wish.expires_at)
    if (at <= now) throw invalid('/expires_at', 'This time is over.')
    if (at.getTime() > now.getTime() + (longestLife + 60) * 1000) throw invalid('/expires_at', 'A token lives at most one year.')
    return at
  }
  const usual = otherwise === undefined ? new Date(now.getTime() + defaultLife * 1000) : otherwise
  if (actor.expiresAt === null) return usual
  return usual === null || usual.getTime() > actor.expiresAt ? new Date(actor.expiresAt) : usual
}

/** Throws 403 saying what is too much. */
export function refuseBeyond(actor: TokenActor, wanted: Wanted): void {
  const refuse = (detail: string) => new Problem('forbidden', detail)
  const admin = isAdmin(actor)
  if (!admin && wanted.project !== actor.project) throw refuse('Only an admin makes tokens for another project.')
  if (!admin && wanted.user !== actor.user) throw refuse('Only an admin makes tokens for another user.')
  const beyond = admin ? [] : wanted.scopes.filter(scope => !actor.scopes.includes(scope))
  if (beyond.length > 0) throw refuse(`A token cannot make a stronger one: this one lacks ${beyond.join(', ')}.`)
  if (wanted.expiresAt === null && !admin) throw refuse('Only an admin makes tokens that never expire.')
  if (actor.expiresAt !== null && (wanted.expiresAt === null || wanted.expiresAt.getTime() > actor.expiresAt)) {
    throw refuse(`A token cannot make a longer one: this one ends at ${new Date(actor.expiresAt).toISOString()}.`)
  }
}
