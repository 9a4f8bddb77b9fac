/** Navigation around every page: a hull at the left, icons only when narrow, a bar at the bottom on phones. */
import type { ReactNode } from 'react'
import type { Me } from '../api/contract.ts'
import { allows, useApp } from '../app-context.tsx'
import { fetched } from '../live/entities.ts'
import { useStore } from '../live/observable.ts'
import { useAsked } from '../pages/sessions/catalogue.ts'
import { type NavPlace, type PageEntry, pages } from '../pages.tsx'
import { Icon } from '../parts/icons.tsx'
import { Menu } from '../parts/menu.tsx'
import { PortholeMark } from '../parts/porthole-art.tsx'
import { Link } from '../router.tsx'
import { LinkBanner, LinkWord } from './link-banner.tsx'
import type { createTheme } from './theme.ts'

const groups: readonly NavPlace['group'][] = ['work', 'builds', 'house']

interface ShellProps {
  me: Me
  page: PageEntry | null
  theme: ReturnType<typeof createTheme>
  onSignOut: () => void
  children: ReactNode
}

export function Shell({ me, page, theme, onSignOut, children }: ShellProps) {
  const { router } = useApp()
  const chosen = useStore(theme.chosen, value => value)
  const running = useRunning(me)
  const current = page?.under ?? page?.path
  const shown = pages.flatMap(({ path, nav, load }) =>
    nav && (nav.scope === 'token' || allows(me, nav.scope)) ? [{ path, nav: { ...nav, label: navLabel(nav, me) }, load }] : [],
  )
  const account = [
    ...shown
      .filter(({ nav }) => !nav.lead)
      .map(({ path, nav }) => ({ label: nav.label, icon: nav.icon, phoneOnly: true, onPick: () => router.go(path) })),
    { label: 'System colours', checked: chosen === 'system', onPick: () => theme.choose('system') },
    { label: 'Light', checked: chosen === 'light', onPick: () => theme.choose('light') },
    { label: 'Dark', checked: chosen === 'dark', onPick: () => theme.choose('dark') },
    { label: 'API reference', icon: 'api' as const, onPick: () => window.open('/docs', '_blank', 'noopener') },
    { label: 'Sign out', icon: 'out' as const, onPick: onSignOut },
  ]
  return (
    <div className="shell" data-fill={page?.fill || undefined}>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <aside className="hull">
        <Link to="/sessions" className="hull-brand" aria-label="Porthole, sessions">
          <PortholeMark />
          <span className="hull-word">Porthole</span>
        </Link>
        <nav className="hull-nav" aria-label="Pages">
          {groups.map(group => (
            <div key={group} className="hull-group">
              {shown
                .filter(({ nav }) => nav.group === group)
                .map(({ path, nav, load }) => (
                  <Link
                    key={path}
                    to={path}
                    className="hull-link"
                    title={nav.label}
                    data-lead={nav.lead}
                    aria-current={path === current ? 'page' : undefined}
                    onPointerEnter={() => void load().catch(() => {})}
                  >
                    <Icon name={nav.icon} size={20} />
                    <span className="hull-link-label">{nav.label}</span>
                    {path === '/sessions' && running > 0 && (
                      <span className="hull-count" title={`${running} running`}>
                        {running}
                      </span>
                    )}
                  </Link>
                ))}
            </div>
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

/** Known on every page, not only where sessions are listed. */
function useRunning(me: Me): number {
  const { api, live } = useApp()
  const allowed = allows(me, 'sessions:read')
  useAsked<null>(
    null,
    async signal => {
      if (!allowed) return null
      const asOf = live.sessions.get().tick
      const page = await api.sessions({ status: 'running' }, null, 100, signal)
      live.sessions.update(state => fetched(state, page.data, asOf))
      return null
    },
    `running ${allowed}`,
  )
  return useStore(live.sessions, state => Object.values(state.entries).filter(one => one.value?.status === 'running').length)
}

export function navLabel(nav: NavPlace, me: Me): string {
  return (!allows(me, 'admin') && nav.plainLabel) || nav.label
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
