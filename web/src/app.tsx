/** Who is here, and which page they are on. */
import { Component, lazy, type ReactNode, Suspense, useEffect } from 'react'
import type { Me } from './api/contract.ts'
import type { AppParts } from './app-context.tsx'
import { AppProvider, allows } from './app-context.tsx'
import { useStore } from './live/observable.ts'
import { LoginPage } from './pages/login/login-page.tsx'
import { ChunkMissing, findPage, pages, persistently, scopeOf } from './pages.tsx'
import { Button } from './parts/button.tsx'
import { PortholeMark } from './parts/porthole-art.tsx'
import { EmptyState, NotAllowed, Skeleton } from './parts/states.tsx'
import { Link } from './router.tsx'
import { navLabel, Shell } from './shell/shell.tsx'
import type { createTheme } from './shell/theme.ts'
import { ToastShelf } from './shell/toasts.tsx'

/** Where a share link leads: open to anybody, so nothing is asked about an account. */
export const joinPath = '/join'
const JoinPage = lazy(async () => ({
  default: await persistently(async () => (await import('./pages/join/join-page.tsx')).JoinPage),
}))

interface AppProps {
  parts: AppParts
  theme: ReturnType<typeof createTheme>
  /** Asks the API who we are; resolves when `parts.account` says so. */
  askWho: () => Promise<void>
}

export function App({ parts, theme, askWho }: AppProps) {
  const account = useStore(parts.account, value => value)
  const joining = useStore(parts.router.place, place => place.path === joinPath)
  if (joining) {
    return (
      <AppProvider parts={parts}>
        <Bulkhead>
          <Suspense fallback={<Boot words="Opening the link" />}>
            <JoinPage />
          </Suspense>
        </Bulkhead>
      </AppProvider>
    )
  }
  return (
    <AppProvider parts={parts}>
      {account.phase === 'asking' && <Boot words="Loading Porthole" />}
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

function Boot({ words }: { words: string }) {
  return (
    <div className="boot" role="status">
      <PortholeMark size={44} />
      <span className="unseen">{words}</span>
    </div>
  )
}

function Shelled({ parts, theme }: Pick<AppProps, 'parts' | 'theme'>) {
  const path = useStore(parts.router.place, place => place.path)
  const account = useStore(parts.account, value => value)
  const found = findPage(path)
  const title = found ? found.page.title : 'Not found'
  useEffect(() => {
    if (title) document.title = `${title} · Porthole`
  }, [title])
  // The live connection belongs to the signed-in page: it begins and ends with it.
  useEffect(() => {
    const stop = new AbortController()
    parts.live.start(stop.signal)
    return () => stop.abort()
  }, [parts.live])
  if (account.phase !== 'in') return null
  const needs = found && scopeOf(found.page)

  async function signOut() {
    await parts.api.logout().catch(error => parts.toasts.failed('Sign-out failed', error))
    parts.account.set({ phase: 'out', ended: false })
  }
  return (
    <Shell me={account.me} page={found?.page ?? null} theme={theme} onSignOut={() => void signOut()}>
      <Bulkhead key={path}>
        {found && needs && !allows(account.me, needs) ? (
          <NotAllowed scope={needs} action={<Elsewhere me={account.me} />} />
        ) : found ? (
          <Suspense fallback={<Opening />}>
            <found.page.body key={path} id={found.id} me={account.me} />
          </Suspense>
        ) : (
          <EmptyState weather="fog" title="There is no such page" action={<Link to="/sessions">Back to the sessions</Link>} />
        )}
      </Bulkhead>
    </Shell>
  )
}

/** The first page that this token may see. */
function Elsewhere({ me }: { me: Me }) {
  const open = pages.find(one => one.nav && (one.nav.scope === 'token' || allows(me, one.nav.scope)))
  return open?.nav && <Link to={open.path}>{`To ${navLabel(open.nav, me).toLowerCase()}`}</Link>
}

/** While a page's code is on its way: usually too short to be seen. */
function Opening() {
  return (
    <div className="opening" aria-busy="true">
      <Skeleton width="180px" height="28px" />
      <Skeleton height="140px" />
    </div>
  )
}

/** A fault in one page floods that page only. */
class Bulkhead extends Component<{ children: ReactNode }, { fault: Error | null }> {
  override state: { fault: Error | null } = { fault: null }
  static getDerivedStateFromError(fault: Error) {
    return { fault }
  }
  override render() {
    const { fault } = this.state
    if (!fault) return this.props.children
    if (fault instanceof ChunkMissing) {
      // Only a new page knows the new names of the chunks.
      return (
        <EmptyState weather="fog" title="Not loaded" action={<Button onClick={() => location.reload()}>Reload</Button>}>
          {fault.message}
        </EmptyState>
      )
    }
    return (
      <EmptyState
        weather="night"
        title="This page failed"
        action={<Button onClick={() => this.setState({ fault: null })}>Try again</Button>}
      >
        {fault.message}
      </EmptyState>
    )
  }
}
