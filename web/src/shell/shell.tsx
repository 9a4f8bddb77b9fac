/** Navigation around every page: a hull at the left, icons only when narrow, a bar at the bottom on phones. */
import type { ReactNode } from 'react'
import type { Me, Scope } from '../api/contract.ts'
import { allows, useApp } from '../app-context.tsx'
import { useStore } from '../live/observable.ts'
import { Icon, type IconName } from '../parts/icons.tsx'
import { Menu } from '../parts/menu.tsx'
import { PortholeMark } from '../parts/porthole-art.tsx'
import { Link, type PageName } from '../router.tsx'
import { LinkBanner, LinkWord } from './link-banner.tsx'
import type { createTheme } from './theme.ts'

interface NavEntry {
  page: PageName
  to: string
  label: string
  icon: IconName
  scope: Scope
}

/** Pages that come later (audit, jobs, terminals) get a line here, with the scope that shows them. */
const entries: readonly NavEntry[] = [
  { page: 'sessions', to: '/sessions', label: 'Sessions', icon: 'sessions', scope: 'sessions:read' },
  { page: 'wall', to: '/wall', label: 'Wall', icon: 'wall', scope: 'sessions:connect' },
  { page: 'clusters', to: '/clusters', label: 'Clusters', icon: 'clusters', scope: 'clusters:read' },
  { page: 'tokens', to: '/tokens', label: 'Tokens', icon: 'tokens', scope: 'tokens' },
]

interface ShellProps {
  me: Me
  page: PageName
  theme: ReturnType<typeof createTheme>
  onSignOut: () => void
  children: ReactNode
}

export function Shell({ me, page, theme, onSignOut, children }: ShellProps) {
  const { live } = useApp()
  const chosen = useStore(theme.chosen, value => value)
  const running = useStore(
    live.sessions,
    state => Object.values(state.entries).filter(one => one.value?.status === 'running').length,
  )
  const current = page === 'session' ? 'sessions' : page
  const shown = entries.filter(entry => allows(me, entry.scope))
  const account = [
    { label: 'System colours', checked: chosen === 'system', onPick: () => theme.choose('system') },
    { label: 'Light', checked: chosen === 'light', onPick: () => theme.choose('light') },
    { label: 'Dark', checked: chosen === 'dark', onPick: () => theme.choose('dark') },
    { label: 'API reference', icon: 'api' as const, onPick: () => window.open('/docs', '_blank', 'noopener') },
    { label: 'Sign out', icon: 'out' as const, onPick: onSignOut },
  ]
  return (
    <div className="shell" data-page={page}>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <aside className="hull">
        <Link to="/sessions" className="hull-brand" aria-label="Porthole, sessions">
          <PortholeMark />
          <span className="hull-word">Porthole</span>
        </Link>
        <nav className="hull-nav" aria-label="Pages">
          {shown.map(entry => (
            <Link
              key={entry.page}
              to={entry.to}
              className="hull-link"
              title={entry.label}
              aria-current={entry.page === current ? 'page' : undefined}
            >
              <Icon name={entry.icon} size={20} />
              <span className="hull-link-label">{entry.label}</span>
              {entry.page === 'sessions' && running > 0 && (
                <span className="hull-count" title={`${running} running`}>
                  {running}
                </span>
              )}
            </Link>
          ))}
        </nav>
        <div className="hull-foot">
          <LinkWord />
          <div className="hull-account">
            <span className="hull-who">
              <strong>{me.user}</strong>
              <span>{me.project.name || me.project.id}</span>
            </span>
            <Menu label="Account and colours" icon="more" items={account} align="start" up />
          </div>
        </div>
      </aside>
      <div className="deck">
        <LinkBanner />
        <main id="main" className="page" tabIndex={-1}>
          {children}
        </main>
      </div>
    </div>
  )
}

export function PageHead({ title, summary, children }: { title: string; summary?: ReactNode; children?: ReactNode }) {
  return (
    <header className="page-head">
      <div>
        <h1>{title}</h1>
        {summary && <p className="page-summary">{summary}</p>}
      </div>
      {children && <div className="page-head-actions">{children}</div>}
    </header>
  )
}
