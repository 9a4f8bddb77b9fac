/** Terminals of one session, beside its screen: those that live, a new one, and one of them open. */
import { useState } from 'react'
import { messageOf } from '../api/api-error.ts'
import type { Session, Terminal } from '../api/contract.ts'
import { useApp } from '../app-context.tsx'
import { useAsked } from '../pages/sessions/catalogue.ts'
import { Button, IconButton } from '../parts/button.tsx'
import { Notice } from '../parts/states.tsx'
import { TerminalView } from './terminal-view.tsx'

export function TerminalTab({ session }: { session: Session }) {
  const { api, router } = useApp()
  const [made, setMade] = useState<Terminal[]>([])
  const [gone, setGone] = useState<readonly string[]>([])
  const [chosen, setChosen] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const [trouble, setTrouble] = useState('')
  const asked = useAsked<readonly Terminal[]>(
    [],
    async signal => (await api.terminals({ session: session.id }, signal)).data,
    session.id,
  )
  const known = [...asked.value, ...made.filter(one => !asked.value.some(other => other.id === one.id))]
  const living = known.filter(one => !gone.includes(one.id)).sort((a, b) => (a.created_at < b.created_at ? -1 : 1))
  const running = session.status === 'running'
  const open = known.find(one => one.id === chosen && !gone.includes(one.id)) ?? living.at(-1)

  async function add() {
    setBusy(true)
    setTrouble('')
    try {
      const terminal = await api.createTerminal({ session: session.id })
      setMade(before => [...before, terminal])
      setChosen(terminal.id)
    } catch (error) {
      setTrouble(messageOf(error))
    } finally {
      setBusy(false)
    }
  }
  async function close(id: string) {
    setGone(before => [...before, id])
    await api.closeTerminal(id).catch(error => setTrouble(messageOf(error)))
  }

  if (!running) return <Notice>A terminal needs a running session.</Notice>
  return (
    <div className="terminal-tab">
      <div className="terminal-list" role="tablist" aria-label="Terminals">
        {living.map((one, index) => (
          <button
            key={one.id}
            type="button"
            role="tab"
            aria-selected={one.id === open?.id}
            className="terminal-choice"
            onClick={() => setChosen(one.id)}
          >
            {one.shell ?? 'Shell'} {index + 1}
          </button>
        ))}
        <Button size="small" icon="plus" busy={busy} onClick={() => void add()}>
          {living.length === 0 ? 'Open a terminal' : 'New'}
        </Button>
        <span className="filters-rest" />
        {open && (
          <>
            <IconButton icon="full" label="On a page of its own" onClick={() => router.go(`/terminals/${open.id}`)} />
            <IconButton icon="end" label="End it and all it runs" onClick={() => void close(open.id)} />
          </>
        )}
      </div>
      {trouble && <Notice tone="bad">{trouble}</Notice>}
      {asked.phase === 'failed' && asked.error && <Notice tone="bad">{messageOf(asked.error)}</Notice>}
      {open ? (
        <TerminalView key={open.id} id={open.id} label="Terminal of the session" />
      ) : (
        asked.phase === 'ready' && (
          <p className="faint">
            A shell inside this session, as its own user. It lives on when you leave this page, until it is idle for half an hour.
          </p>
        )
      )}
    </div>
  )
}
