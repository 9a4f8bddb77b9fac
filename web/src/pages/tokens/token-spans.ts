/** How long a new token may live: never longer than the one that makes it, and for ever only by an admin's word. */
import type { Me } from '../../api/contract.ts'

export interface TokenSpan {
  /** Seconds; `own`: as long as the acting token; `never`. */
  key: string
  label: string
}

const usual: readonly TokenSpan[] = [
  { key: '86400', label: '1 day' },
  { key: '604800', label: '7 days' },
  { key: '2592000', label: '30 days' },
  { key: '7776000', label: '90 days' },
  { key: '31536000', label: '1 year' },
]

export function offeredSpans(me: Pick<Me, 'scopes' | 'token'>, now: number): TokenSpan[] {
  const end = me.token.expires_at ? Date.parse(me.token.expires_at) : Number.POSITIVE_INFINITY
  const fitting = usual.filter(span => now + Number(span.key) * 1000 <= end)
  const own = end < now + 31_536_000_000 ? [{ key: 'own', label: 'As long as mine' }] : []
  const never = me.scopes.includes('admin') && end === Number.POSITIVE_INFINITY ? [{ key: 'never', label: 'No expiry' }] : []
  return [...fitting, ...own, ...never]
}

/** `own` says nothing: the API then cuts its usual life to the acting token's. */
export function bodyOfSpan(key: string): { expires_in_seconds?: number | null } {
  if (key === 'own') return {}
  return { expires_in_seconds: key === 'never' ? null : Number(key) }
}
