/** What each scope lets a token do, in words, and sensible sets of them. */
import type { Scope } from '../../api/contract.ts'

export const scopeWords: Record<Scope, { words: string; group: string; strong?: boolean }> = {
  'sessions:read': { words: 'See sessions, their logs and screenshots', group: 'Sessions' },
  'sessions:write': { words: 'Start, stop, extend and end sessions', group: 'Sessions' },
  'sessions:connect': { words: 'Open live screens, Playwright and CDP', group: 'Sessions' },
  'jobs:read': { words: 'See jobs and their logs', group: 'Jobs' },
  'jobs:write': { words: 'Start, cancel and retry jobs', group: 'Jobs' },
  'clusters:read': { words: 'See clusters and their load', group: 'Clusters' },
  'clusters:admin': { words: 'Add, drain and remove clusters', group: 'Clusters', strong: true },
  tokens: { words: 'Make and revoke tokens, never stronger than itself', group: 'Power', strong: true },
  exec: { words: 'Open shells and run commands in pods', group: 'Power', strong: true },
  manifests: { words: 'Apply YAML to clusters', group: 'Power', strong: true },
  admin: { words: 'Everything, in every project', group: 'Power', strong: true },
}

export const presets: readonly { key: string; label: string; words: string; scopes: readonly Scope[] }[] = [
  {
    key: 'script',
    label: 'Script',
    words: 'Runs browsers and drives them',
    scopes: ['sessions:read', 'sessions:write', 'sessions:connect'],
  },
  { key: 'viewer', label: 'Viewer', words: 'Looks, changes nothing', scopes: ['sessions:read', 'jobs:read', 'clusters:read'] },
  {
    key: 'developer',
    label: 'Developer',
    words: 'Sessions and jobs',
    scopes: ['sessions:read', 'sessions:write', 'sessions:connect', 'jobs:read', 'jobs:write', 'clusters:read'],
  },
]

export function sameScopes(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every(scope => b.includes(scope))
}

/** A token cannot make a stronger one: only its own scopes are offered. */
export function offeredScopes(own: readonly Scope[]): Scope[] {
  const all = Object.keys(scopeWords) as Scope[]
  return own.includes('admin') ? all : all.filter(scope => own.includes(scope))
}
