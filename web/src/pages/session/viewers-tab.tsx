/** Who has the screen open, and which of them may type. The owner hands control over and takes it back; streams go on meanwhile. */
import { useEffect, useState } from 'react'
import { messageOf } from '../../api/api-error.ts'
import type { Session, Viewer, ViewerList } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Ago } from '../../parts/moments.tsx'
import { Notice, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { isAsked, viewerName, viewerOrigin } from './viewer-words.ts'

/** Nothing tells of viewers that come and go: while the tab is open, it is asked again and again. */
const lookMs = 4_000

interface ViewersTabProps {
  session: Session
  /** This window's own stream. */
  mine: string | null
  /** May decide who types. */
  owner: boolean
}

export function ViewersTab({ session, mine, owner }: ViewersTabProps) {
  const { api, live, toasts } = useApp()
  const [list, setList] = useState<ViewerList | null>(null)
  const [fault, setFault] = useState('')
  const [turn, setTurn] = useState(0)
  const [busy, setBusy] = useState('')
  const asked = useStore(live.events, list => list.findLast(event => isAsked(event, session.id))?.id ?? '')
  // biome-ignore lint/correctness/useExhaustiveDependencies: a turn, a change of control or a new stream say that it is time to look again
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(() => setTurn(count => count + 1), lookMs)
    api
      .viewers(session.id, stop.signal)
      .then(answer => {
        setList(answer)
        setFault('')
      })
      .catch(error => !stop.signal.aborted && setFault(messageOf(error)))
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [api, session.id, session.control, mine, turn, asked])

  async function give(what: string, body: Parameters<typeof api.setControl>[1]) {
    setBusy(what)
    try {
      setList(await api.setControl(session.id, body))
    } catch (error) {
      toasts.failed('Control did not change', error)
    }
    setBusy('')
  }

  if (session.status !== 'running') return <p className="field-note">Nobody can watch a session that does not run.</p>
  const mode = list?.control.mode ?? session.control.mode
  return (
    <div className="viewers">
      {owner && (
        <>
          <Segmented<'shared' | 'single'>
            label="Who may type"
            chosen={mode}
            onChoose={mode => void give('mode', { mode })}
            choices={[
              { key: 'shared', label: 'All may type' },
              { key: 'single', label: 'One at a time' },
            ]}
          />
          <p className="field-note">
            {mode === 'shared'
              ? 'Everybody who was let in to control may type and point at the same time.'
              : 'Keys and pointer of all others are dropped by the agent. You can take control back at any time.'}
          </p>
        </>
      )}
      {fault && <Notice tone="warn">The viewers could not be loaded: {fault}</Notice>}
      {!list && !fault && <Skeleton height="60px" />}
      {list?.data.length === 0 && <p className="field-note">Nobody has the screen open.</p>}
      <ul>
        {list?.data.map(viewer => (
          <li key={viewer.id} data-mine={viewer.id === mine || undefined}>
            <span className="viewer-who">
              <strong>{viewerName(viewer, mine)}</strong>
              <span className="faint">
                {viewerOrigin(viewer)} · <Ago at={viewer.since} />
                {viewer.asked_at && <strong className="viewer-asks"> · asks for control</strong>}
              </span>
            </span>
            <StatusBadge
              word={viewer.role === 'control' ? 'May type' : 'Watches'}
              tone={viewer.role === 'control' ? 'good' : 'quiet'}
            />
            {owner && <Hand viewer={viewer} list={list} mine={mine} busy={busy} onGive={give} />}
          </li>
        ))}
      </ul>
    </div>
  )
}

interface HandProps {
  viewer: Viewer
  list: ViewerList
  mine: string | null
  busy: string
  onGive: (what: string, body: { mode: 'single'; viewer?: string }) => Promise<void>
}

function Hand({ viewer, list, mine, busy, onGive }: HandProps) {
  const holds = list.control.mode === 'single' && list.control.viewer === viewer.id
  if (viewer.granted_role === 'view') return <span className="faint viewer-note">only let in to watch</span>
  if (holds && viewer.id !== mine) {
    return (
      <Button size="small" busy={busy === viewer.id} onClick={() => void onGive(viewer.id, { mode: 'single' })}>
        Take back
      </Button>
    )
  }
  if (holds) return null
  return (
    <Button size="small" busy={busy === viewer.id} onClick={() => void onGive(viewer.id, { mode: 'single', viewer: viewer.id })}>
      {viewer.id === mine ? 'Only me' : 'Give control'}
    </Button>
  )
}
