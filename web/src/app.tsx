/** Who is here, and which page they are on. */
import { Component, type ReactNode, useEffect } from 'react'
import type { AppParts } from './app-context.tsx'
import { AppProvider } from './app-context.tsx'
import { useStore } from './live/observable.ts'
import { ClustersPage } from './pages/clusters/clusters-page.tsx'
import { LoginPage } from './pages/login/login-page.tsx'
import { SessionPage } from './pages/session/session-page.tsx'
import { SessionsPage } from './pages/sessions/sessions-page.tsx'
import { TokensPage } from './pages/tokens/tokens-page.tsx'
import { WallPage } from './pages/wall/wall-page.tsx'
import { Button } from './parts/button.tsx'
import { PortholeMark } from './parts/porthole-art.tsx'
import { EmptyState } from './parts/states.tsx'
import { Link, matchPath } from './router.tsx'
import { Shell } from './shell/shell.tsx'
import type { createTheme } from './shell/theme.ts'
import { ToastShelf } from './shell/toasts.tsx'

interface AppProps {
  parts: AppParts
  theme: ReturnType<typeof createTheme>
  /** Asks the API who we are; resolves when `parts.account` says so. */
  askWho: () => Promise<void>
}

export function App({ parts, theme, askWho }: AppProps) {
  const account = useStore(parts.account, value => value)
  return (
    <AppProvider parts={parts}>
      {account.phase === 'asking' && (
        <div className="boot" role="status">
          <PortholeMark size={44} />
          <span className="unseen">Loading Porthole</span>
        </div>
      )}
      {account.phase === 'unreachable' && (
        <div className="boot">
          <EmptyState
            weather="fog"
            title="No connection to Porthole"
            action={
              <Button icon="restart" onClick={() => void askWho()}>
                Try again
              </Button>
            }
          >
            The server does not answer. It is tried again by itself.
          </EmptyState>
        </div>
      )}
      {account.phase === 'out' && <LoginPage ended={account.ended} onSignedIn={askWho} />}
      {account.phase === 'in' && <Shelled parts={parts} theme={theme} />}
      <ToastShelf toasts={parts.toasts} />
    </AppProvider>
  )
}

function Shelled({ parts, theme }: Pick<AppProps, 'parts' | 'theme'>) {
  const path = useStore(parts.router.place, place => place.path)
  const account = useStore(parts.account, value => value)
  const { page, id } = matchPath(path)
  useEffect(() => {
    const titles = {
      sessions: 'Sessions',
      session: 'Session',
      wall: 'Wall',
      clusters: 'Clusters',
      tokens: 'Tokens',
      none: 'Not found',
    }
    // The session's page knows its own name.
    if (titles[page]) document.title = `${titles[page]} · Porthole`
  }, [page])
  // The live connection belongs to the signed-in page: it begins and ends with it.
  useEffect(() => {
    const stop = new AbortController()
    parts.live.start(stop.signal)
    return () => stop.abort()
  }, [parts.live])
  if (account.phase !== 'in') return null

  async function signOut() {
    await parts.api.logout().catch(error => parts.toasts.failed('Sign-out failed', error))
    parts.account.set({ phase: 'out', ended: false })
  }
  return (
    <Shell me={account.me} page={page} theme={theme} onSignOut={() => void signOut()}>
      <Bulkhead key={path}>
        {page === 'sessions' && <SessionsPage me={account.me} />}
        {page === 'session' && <SessionPage id={id} me={account.me} key={id} />}
        {page === 'wall' && <WallPage />}
        {page === 'clusters' && <ClustersPage me={account.me} />}
        {page === 'tokens' && <TokensPage me={account.me} />}
        {page === 'none' && (
          <EmptyState weather="fog" title="There is no such page" action={<Link to="/sessions">Back to the sessions</Link>} />
        )}
      </Bulkhead>
    </Shell>
  )
}

/** A fault in one page floods that page only. */
class Bulkhead extends Component<{ children: ReactNode }, { fault: Error | null }> {
  override state: { fault: Error | null } = { fault: null }
  static getDerivedStateFromError(fault: Error) {
    return { fault }
  }
  override render() {
    if (!this.state.fault) return this.props.children
    return (
      <EmptyState
        weather="night"
        title="This page failed"
        action={<Button onClick={() => this.setState({ fault: null })}>Try again</Button>}
      >
        {this.state.fault.message}
      </EmptyState>
    )
  }
}
