/** The form of a share link as data, and how a link is spoken of. Pure. */
import type { Link, LinkCreate } from '../../api/contract.ts'
import { duration, until } from '../../format/time.ts'

export interface ShareDraft {
  role: 'view' | 'control'
  /** Seconds. */
  life: string
  /** Empty: no limit. */
  viewers: string
}

export const emptyShare: ShareDraft = { role: 'view', life: '3600', viewers: '' }

export const lives: readonly { key: string; label: string }[] = [
  { key: '900', label: '15 minutes' },
  { key: '3600', label: '1 hour' },
  { key: '14400', label: '4 hours' },
  { key: '86400', label: '1 day' },
  { key: '604800', label: '7 days' },
  { key: '2592000', label: '30 days' },
]

export function linkRequest(draft: ShareDraft): { body: LinkCreate; fault: string } {
  const body: LinkCreate = { role: draft.role, ttl_seconds: Number(draft.life) }
  const text = draft.viewers.trim()
  if (text === '') return { body, fault: '' }
  const viewers = Number(text)
  if (!/^\d+$/.test(text) || viewers < 1 || viewers > 100) return { body, fault: 'A whole number from 1 to 100, or nothing.' }
  return { body: { ...body, max_viewers: viewers }, fault: '' }
}

/** A session may end before its link does: then so does the link. */
export function endsEarly(life: string, expiresAt: string | null, now: number): string {
  const left = until(expiresAt, now)
  if (left === null || left <= 0 || left >= Number(life) * 1000) return ''
  return `The session itself ends in ${duration(left)}, and its links with it.`
}

export function linkFacts(link: Link, now: number): string {
  const left = until(link.expires_at, now) ?? 0
  const ends = left > 0 ? `${duration(left)} left` : 'expired'
  const seen =
    link.viewers === 0 && link.max_viewers === null
      ? 'nobody watching'
      : `${link.viewers}${link.max_viewers === null ? '' : ` of ${link.max_viewers}`} watching`
  return `${ends} · ${seen}`
}
