/**
 * What a token may do at most, besides its scopes and its project's quotas. A token bound to certain sessions or clusters reaches sessions and
 * nothing else: every other route, also one that is added later, refuses it.
 */
import { inArray, isNull, or, type SQL } from 'drizzle-orm'
import { sessions, type TokenLimits } from '#db/schema.ts'
import type { Actor, TokenActor } from '../context.ts'
import { notFound, Problem } from '../problem.ts'
import { isInside } from './networks.ts'

export interface Bounds {
  allowedCidrs: string[] | null
  limits: TokenLimits
}

const sessionPath = /^\/v1\/sessions(?:\/([^/]+)(?:\/|$)|$)/
const alwaysOpen = /^\/v1\/(me|templates(\/[^/]+)?)$/

/** The guard of every route asks. */
export function refuseOutsideBounds(actor: TokenActor, method: string, path: string): void {
  const { sessions: only, clusters } = actor.limits ?? {}
  if (!only && !clusters) return
  if (method === 'GET' && alwaysOpen.test(path)) return
  const match = sessionPath.exec(path)
  if (!match) throw new Problem('forbidden', 'This token is bound to certain sessions or clusters and reaches nothing else.')
  if (!only) return
  const id = match[1]
  if (id !== undefined && !only.includes(id)) throw notFound('session')
  if (id === undefined && method !== 'GET')
    throw new Problem('forbidden', 'This token is bound to certain sessions and makes none.')
}

export function boundsOf(actor: Actor): TokenLimits {
  return (actor.kind === 'token' && actor.limits) || {}
}

/** Of all sessions behind the project wall, those that the acting token reaches. */
export function withinBounds(actor: Actor): SQL | undefined {
  const { sessions: only, clusters } = boundsOf(actor)
  if (only) return inArray(sessions.id, only)
  if (clusters) return or(isNull(sessions.cluster_id), inArray(sessions.cluster_id, clusters))
  return undefined
}

export function reaches(actor: Actor, row: { id: string; cluster_id: string | null }): boolean {
  const { sessions: only, clusters } = boundsOf(actor)
  if (only) return only.includes(row.id)
  return !clusters || row.cluster_id === null || clusters.includes(row.cluster_id)
}

const numbers = ['max_sessions', 'max_streams', 'requests_per_minute'] as const
const lists = ['sessions', 'clusters'] as const

/** The bounds of a token that `parent` makes: what is not asked for is the parent's own; more than that is refused. */
export function inheritBounds(
  parent: Bounds,
  wish: { allowed_cidrs?: string[] | null | undefined; limits?: TokenLimits | undefined },
): Bounds {
  const refuse = (detail: string) => new Problem('forbidden', `A token cannot make one with wider limits: ${detail}.`)
  const allowedCidrs = wish.allowed_cidrs ?? parent.allowedCidrs
  const wide = parent.allowedCidrs && allowedCidrs?.find(network => !isInside(network, parent.allowedCidrs!))
  if (wide) throw refuse(`${wide} is not within its own networks`)
  const limits: TokenLimits = { ...parent.limits, ...wish.limits }
  for (const name of numbers) {
    const most = parent.limits[name]
    if (most !== undefined && limits[name]! > most) throw refuse(`${name} is at most ${most}`)
  }
  for (const name of lists) {
    const most = parent.limits[name]
    const beyond = most && limits[name]!.find(id => !most.includes(id))
    if (beyond) throw refuse(`${beyond} is not one of its own ${name}`)
  }
  return { allowedCidrs, limits }
}
