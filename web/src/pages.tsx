/**
 * Every page of the dashboard: its address, its title and its place in the navigation. One line here is all that a new page needs. Each page
 * is a chunk of its own, loaded when it is first opened (or pointed at in the navigation).
 */
import { type ComponentType, lazy } from 'react'
import type { Me, Scope } from './api/contract.ts'
import type { IconName } from './parts/icons.tsx'

export interface PageProps {
  /** The `:id` of the address; empty where there is none. */
  id: string
  me: Me
}

export interface NavPlace {
  label: string
  /** What it is to those who are no admin. */
  plainLabel?: string
  icon: IconName
  /** Shown to tokens with this scope; `token`: to all. */
  scope: Scope | 'token'
  group: 'work' | 'builds' | 'house'
  /** Has a place of its own at phone width; the others are in the menu there. */
  lead?: true
}

export interface PageEntry {
  /** `:id` stands for one step. The first entry that fits is taken. */
  path: `/${string}`
  /** Empty: the page names itself. */
  title: string
  nav?: NavPlace
  /** The entry of the navigation that this page belongs to. */
  under?: string
  /** Takes the whole window: nothing of it may need the page to scroll. */
  fill?: true
  body: ComponentType<PageProps>
  load: () => Promise<ComponentType<PageProps>>
}

export class ChunkMissing extends Error {}

/** Browsers drop what is under way when the network changes, and a chunk that did not come once may well come now. */
export async function persistently<T>(load: () => Promise<T>, waits: readonly number[] = [300, 2_000]): Promise<T> {
  for (const wait of waits) {
    try {
      return await load()
    } catch {
      await new Promise(resolve => setTimeout(resolve, wait))
      askStylesAgain()
    }
  }
  return load()
}

/** The bundler's loader asks for a stylesheet only once. */
function askStylesAgain() {
  for (const link of document.querySelectorAll<HTMLLinkElement>('link[rel=stylesheet]'))
    if (isMissing(link)) link.replaceWith(link.cloneNode())
}

/** All of them are of this origin: one that cannot be read did not come. */
function isMissing({ sheet }: HTMLLinkElement): boolean {
  try {
    return sheet !== null && sheet.cssRules === null
  } catch {
    return true
  }
}

function page(entry: Omit<PageEntry, 'body'>): PageEntry {
  const body = lazy(async () => ({
    default: await persistently(entry.load).catch(cause => {
      throw new ChunkMissing('This part of the dashboard could not be loaded: you are offline, or Porthole was updated.', {
        cause,
      })
    }),
  }))
  return { ...entry, body }
}

export const pages: readonly PageEntry[] = [
  page({
    path: '/sessions',
    title: 'Sessions',
    nav: { label: 'Sessions', icon: 'sessions', scope: 'sessions:read', group: 'work', lead: true },
    load: async () => (await import('./pages/sessions/sessions-page.tsx')).SessionsPage,
  }),
  page({
    path: '/sessions/:id',
    title: '',
    under: '/sessions',
    fill: true,
    load: async () => (await import('./pages/session/session-page.tsx')).SessionPage,
  }),
  page({
    path: '/terminals/:id',
    title: 'Terminal',
    under: '/sessions',
    fill: true,
    load: async () => (await import('./terminal/terminal-page.tsx')).TerminalPage,
  }),
  page({
    path: '/wall',
    title: 'Wall',
    nav: { label: 'Wall', icon: 'wall', scope: 'sessions:connect', group: 'work', lead: true },
    load: async () => (await import('./pages/wall/wall-page.tsx')).WallPage,
  }),
  page({
    path: '/jobs',
    title: 'Jobs',
    nav: { label: 'Jobs', icon: 'jobs', scope: 'jobs:read', group: 'work', lead: true },
    load: async () => (await import('./pages/jobs/jobs-page.tsx')).JobsPage,
  }),
  page({
    path: '/jobs/:id',
    title: '',
    under: '/jobs',
    fill: true,
    load: async () => (await import('./pages/jobs/job-page.tsx')).JobPage,
  }),
  page({
    path: '/volumes',
    title: 'Volumes',
    nav: { label: 'Volumes', icon: 'volumes', scope: 'sessions:read', group: 'work' },
    load: async () => (await import('./pages/volumes/volumes-page.tsx')).VolumesPage,
  }),
  page({
    path: '/registries',
    title: 'Registries',
    nav: { label: 'Registries', icon: 'registries', scope: 'jobs:read', group: 'builds' },
    load: async () => (await import('./pages/registries/registries-page.tsx')).RegistriesPage,
  }),
  page({
    path: '/secrets',
    title: 'Secrets',
    nav: { label: 'Secrets', icon: 'secrets', scope: 'jobs:read', group: 'builds' },
    load: async () => (await import('./pages/secrets/secrets-page.tsx')).SecretsPage,
  }),
  page({
    path: '/webhooks',
    title: 'Webhooks',
    nav: { label: 'Webhooks', icon: 'webhooks', scope: 'jobs:read', group: 'builds' },
    load: async () => (await import('./pages/webhooks/webhooks-page.tsx')).WebhooksPage,
  }),
  page({
    path: '/clusters',
    title: 'Clusters',
    nav: { label: 'Clusters', icon: 'clusters', scope: 'clusters:read', group: 'house', lead: true },
    load: async () => (await import('./pages/clusters/clusters-page.tsx')).ClustersPage,
  }),
  page({
    path: '/pools',
    title: 'Pools',
    nav: { label: 'Pools', icon: 'pools', scope: 'clusters:read', group: 'house' },
    load: async () => (await import('./pages/pools/pools-page.tsx')).PoolsPage,
  }),
  page({
    path: '/tokens',
    title: 'Tokens',
    nav: { label: 'Tokens', icon: 'tokens', scope: 'tokens', group: 'house' },
    load: async () => (await import('./pages/tokens/tokens-page.tsx')).TokensPage,
  }),
  page({
    path: '/projects',
    title: 'Projects',
    nav: { label: 'Projects', plainLabel: 'Usage', icon: 'projects', scope: 'token', group: 'house' },
    load: async () => (await import('./pages/projects/projects-page.tsx')).ProjectsPage,
  }),
  page({
    path: '/audit',
    title: 'Audit',
    nav: { label: 'Audit', icon: 'audit', scope: 'admin', group: 'house' },
    load: async () => (await import('./pages/audit/audit-page.tsx')).AuditPage,
  }),
]

/** Null: there is no such page. */
export function findPage(path: string): { page: PageEntry; id: string } | null {
  const steps = path.split('/').filter(Boolean)
  if (steps.length === 0) steps.push('sessions')
  for (const page of pages) {
    const wanted = page.path.split('/').filter(Boolean)
    if (wanted.length !== steps.length) continue
    if (!wanted.every((step, index) => step === ':id' || step === steps[index])) continue
    const at = wanted.indexOf(':id')
    return { page, id: at === -1 ? '' : decode(steps[at] ?? '') }
  }
  return null
}

/** Without it, a page can only say that it cannot be seen; null: any token will do. */
export function scopeOf(page: PageEntry): Scope | null {
  const place = page.nav ?? pages.find(one => one.path === page.under)?.nav
  return !place || place.scope === 'token' ? null : place.scope
}

function decode(step: string): string {
  try {
    return decodeURIComponent(step)
  } catch {
    return step
  }
}
