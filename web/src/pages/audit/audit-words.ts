/** How a line of the record is read, and what may be asked of it. Pure. */

import type { AuditRecord } from '../../api/contract.ts'
import type { AuditFilter } from '../../api/tenants.ts'
import { safeLine } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'

export const families: readonly { key: string; label: string }[] = [
  { key: '', label: 'Everything' },
  { key: 'session.*', label: 'Sessions' },
  { key: 'stream.*', label: 'Streams' },
  { key: 'viewer.*', label: 'Viewers' },
  { key: 'link.*', label: 'Share links' },
  { key: 'volume.*', label: 'Volumes' },
  { key: 'job.*', label: 'Jobs' },
  { key: 'registry.*', label: 'Registries' },
  { key: 'secret.*', label: 'Secrets' },
  { key: 'webhook.*', label: 'Webhooks' },
  { key: 'terminal.*', label: 'Terminals' },
  { key: 'token.*', label: 'Tokens' },
  { key: 'project.*', label: 'Projects' },
  { key: 'cluster.*', label: 'Clusters' },
  { key: 'pool.*', label: 'Pools' },
  { key: 'template.*', label: 'Templates' },
  { key: 'agent.*', label: 'Agents' },
  { key: 'auth.*', label: 'Sign-ins' },
]

export const spans: readonly { key: string; label: string; ms: number }[] = [
  { key: '', label: 'All time', ms: 0 },
  { key: 'hour', label: 'Last hour', ms: 3_600_000 },
  { key: 'day', label: 'Last 24 hours', ms: 86_400_000 },
  { key: 'week', label: 'Last 7 days', ms: 604_800_000 },
  { key: 'month', label: 'Last 30 days', ms: 2_592_000_000 },
]

/** Address of the page -> what the API is asked. */
export function filterOf(get: (key: string) => string, now: number): AuditFilter {
  const span = spans.find(one => one.key === get('span'))
  const filter: AuditFilter = {}
  for (const key of ['action', 'actor', 'target', 'outcome', 'project'] as const) {
    const value = get(key).trim()
    if (value) filter[key] = value
  }
  if (span?.ms) filter.since = new Date(now - span.ms).toISOString()
  return filter
}

const actors: Record<string, string> = { token: '', link: 'guest of a link', agent: 'agent', system: 'Porthole itself' }

export function actorKind(record: AuditRecord): string {
  return actors[record.actor.kind] ?? record.actor.kind
}

export function outcomeWord(outcome: string): { word: string; tone: Tone } {
  if (outcome === 'ok') return { word: 'Done', tone: 'good' }
  if (outcome === 'refused') return { word: 'Refused', tone: 'warn' }
  if (outcome === 'failed') return { word: 'Failed', tone: 'bad' }
  return { word: safeLine(outcome), tone: 'quiet' }
}

/** The page of what was acted on, where there is one. */
export function targetPage(target: string): string | null {
  const page = { ses: 'sessions', job: 'jobs' }[/^(ses|job)_[0-9a-z]+$/.exec(target)?.[1] ?? '']
  return page ? `/${page}/${target}` : null
}

/** The facts of a record beyond its line, as name and text. */
export function factsOf(record: AuditRecord): [string, string][] {
  const detail = Object.entries(record.detail).map(([name, value]): [string, string] => [
    safeLine(name),
    safeLine(typeof value === 'string' ? value : JSON.stringify(value)),
  ])
  const known: [string, string | null][] = [
    ['token', record.actor.token],
    ['project', record.project],
    ['request', record.request_id],
    ['record', record.id],
  ]
  return [...detail, ...known.flatMap(([name, value]): [string, string][] => (value ? [[name, value]] : []))]
}
