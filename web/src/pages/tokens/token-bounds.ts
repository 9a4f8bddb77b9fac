/** What narrows a token beyond its scopes: networks, and limits of its own. Pure. */
import type { Token, TokenCreate } from '../../api/contract.ts'
import { count } from '../../format/quantity.ts'

export interface BoundsDraft {
  networks: string
  sessions: string
  streams: string
  requests: string
}

export const noBounds: BoundsDraft = { networks: '', sessions: '', streams: '', requests: '' }

const limits = [
  ['sessions', 'max_sessions'],
  ['streams', 'max_streams'],
  ['requests', 'requests_per_minute'],
] as const

/** Networks go as typed, for the API to judge; numbers are whole. */
export function boundsRequest(draft: BoundsDraft): { body: Pick<TokenCreate, 'allowed_cidrs' | 'limits'>; fault: string } {
  const networks = draft.networks.split(/[\s,]+/).filter(Boolean)
  const chosen: NonNullable<TokenCreate['limits']> = {}
  let fault = ''
  for (const [field, name] of limits) {
    const text = draft[field].trim()
    if (!text) continue
    if (!/^\d{1,6}$/.test(text)) fault = 'Limits are whole numbers, or nothing.'
    else chosen[name] = Number(text)
  }
  return {
    body: {
      ...(networks.length > 0 ? { allowed_cidrs: networks } : {}),
      ...(Object.keys(chosen).length > 0 ? { limits: chosen } : {}),
    },
    fault,
  }
}

/** In a few words; empty: nothing narrows it. */
export function boundsWords({ allowed_cidrs, limits }: Pick<Token, 'allowed_cidrs' | 'limits'>): string {
  const words = [
    allowed_cidrs && `from ${allowed_cidrs.join(', ')}`,
    limits.max_sessions !== undefined && `at most ${count(limits.max_sessions, 'session')}`,
    limits.max_streams !== undefined && `at most ${count(limits.max_streams, 'stream')}`,
    limits.requests_per_minute !== undefined && `${limits.requests_per_minute} requests a minute`,
    limits.sessions && `only ${limits.sessions.join(', ')}`,
    limits.clusters && `only on ${limits.clusters.join(', ')}`,
  ]
  return words.filter(Boolean).join(' · ')
}
