/** One terminal with the whole window to itself. */
import '../styles/session.css'
import { useState } from 'react'
import type { Terminal } from '../api/contract.ts'
import { useApp } from '../app-context.tsx'
import { useAsked } from '../pages/sessions/catalogue.ts'
import type { PageProps } from '../pages.tsx'
import { Button } from '../parts/button.tsx'
import { ConfirmDialog } from '../parts/dialog.tsx'
import { Icon } from '../parts/icons.tsx'
import { EmptyState, Skeleton } from '../parts/states.tsx'
import { Link } from '../router.tsx'
import { TerminalView } from './terminal-view.tsx'

export function TerminalPage({ id }: PageProps) {
  const { api, router } = useApp()
  const asked = useAsked<Terminal | null>(null, signal => api.terminal(id, signal), id)
  const [ending, setEnding] = useState(false)
  const terminal = asked.value
  if (asked.phase === 'failed')
    return (
      <EmptyState weather="night" title="There is no such terminal" action={<Link to="/sessions">To the sessions</Link>}>
        It was closed, or it belongs to someone else.
      </EmptyState>
    )
  if (!terminal)
    return (
      <div className="terminal-page" aria-busy="true">
        <Skeleton width="220px" height="24px" />
      </div>
    )
  const back = terminal.job ? `/jobs/${terminal.job}` : terminal.session ? `/sessions/${terminal.session}` : '/sessions'
  return (
    <div className="terminal-page">
      <header className="session-head">
        <Link to={back} className="icon-button" aria-label={terminal.job ? 'Back to the job' : 'Back to the session'}>
          <Icon name="back" />
        </Link>
        <div className="session-title">
          <h1>Terminal</h1>
          <span className="faint mono">{terminal.session ?? terminal.job}</span>
        </div>
        <Button size="small" icon="end" onClick={() => setEnding(true)}>
          End
        </Button>
      </header>
      <TerminalView key={terminal.id} id={terminal.id} label="Terminal" />
      {ending && (
        <ConfirmDialog
          title="End this terminal?"
          verb="End"
          onClose={() => setEnding(false)}
          onConfirm={async () => {
            await api.closeTerminal(terminal.id)
            router.go(back)
          }}
        >
          <p>The shell and everything started in it are ended.</p>
        </ConfirmDialog>
      )}
    </div>
  )
}
