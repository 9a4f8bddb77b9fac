/** One session: its screen, everything to connect to it, and what happened to it. */
import '../../styles/session.css'
import '../../styles/session-panel.css'
import '../../styles/share.css'
import { useEffect, useMemo, useRef, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Me, Session } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { type SessionAction, titleOf, wordFor } from '../../format/session-words.ts'
import { fetched, gone } from '../../live/entities.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Menu } from '../../parts/menu.tsx'
import { TimeLeft } from '../../parts/moments.tsx'
import { EmptyState, FailedState, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Tabs } from '../../parts/tabs.tsx'
import { Link } from '../../router.tsx'
import { recall, remember } from '../../shell/theme.ts'
import { TerminalTab } from '../../terminal/terminal-tab.tsx'
import { useAsked, useClusters, useTemplates } from '../sessions/catalogue.ts'
import { NewSessionDialog } from '../sessions/new-session-dialog.tsx'
import { sessionActions } from '../sessions/session-actions.ts'
import { menuFor } from '../sessions/session-card.tsx'
import { shownSessions } from '../sessions/session-list.ts'
import { ConnectTab } from './connect-tab.tsx'
import { DetailsTab } from './details-tab.tsx'
import { FilesTab } from './files-tab.tsx'
import { HistoryTab } from './history-tab.tsx'
import { LogsTab } from './logs-tab.tsx'
import { RecordingsTab } from './recordings-tab.tsx'
import { ShareDialog } from './share-dialog.tsx'
import { Stage } from './stage.tsx'
import { isAsked, isOwner } from './viewer-words.ts'
import { ViewersTab } from './viewers-tab.tsx'

type TabKey = 'connect' | 'viewers' | 'history' | 'logs' | 'files' | 'terminal' | 'recordings' | 'details'

export function SessionPage({ id, me }: { id: string; me: Me }) {
  const { api, live } = useApp()
  const asked = useAsked<null>(
    null,
    async signal => {
      const asOf = live.sessions.get().tick
      try {
        const session = await api.session(id, signal)
        live.sessions.update(state => fetched(state, [session], asOf))
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) live.sessions.update(state => gone(state, id))
        throw error
      }
      return null
    },
    id,
  )
  const session = useStore(live.sessions, state => shownSessions(state).find(one => one.id === id) ?? null)
  const deleted = useStore(live.sessions, state => state.entries[id]?.value === null)
  const last = useRef(session)
  if (session) last.current = session

  if (session) return <OpenSession session={session} me={me} />
  if (deleted || (asked.error instanceof ApiError && asked.error.status === 404)) {
    return (
      <EmptyState
        weather="night"
        title={last.current ? `${titleOf(last.current)} is gone` : 'There is no such session'}
        action={<Link to="/sessions">To the sessions</Link>}
      >
        {last.current ? 'It was ended and its files deleted.' : 'It was ended, or it belongs to someone else.'}
      </EmptyState>
    )
  }
  if (asked.phase === 'failed' && asked.error) return <FailedState error={asked.error} onRetry={asked.retry} />
  return (
    <div className="session" aria-busy="true">
      <div className="session-head">
        <Skeleton width="220px" height="24px" />
      </div>
      <div className="session-body">
        <div className="stage" />
        <div className="side">
          <Skeleton height="120px" />
        </div>
      </div>
    </div>
  )
}

function OpenSession({ session, me }: { session: Session; me: Me }) {
  const app = useApp()
  const clusters = useClusters(allows(me, 'clusters:read'))
  const templates = useTemplates()
  const [tab, setTab] = useState<TabKey>(session.status === 'running' ? 'connect' : 'history')
  const [panel, setPanel] = useState(recall('porthole.panel') !== 'closed')
  const [ending, setEnding] = useState(false)
  const [again, setAgain] = useState(false)
  const [mine, setMine] = useState<string | null>(null)
  const owner = isOwner(session, me.user, allows(me, 'admin')) && allows(me, 'sessions:connect')
  const [sharing, setSharing] = useState(false)
  const actions = useMemo(() => sessionActions(app), [app])
  const mayWrite = allows(me, 'sessions:write')
  const mayShare = allows(me, 'sessions:connect') && !session.headless
  const word = wordFor(session.status)
  const title = titleOf(session)
  const clusterName = clusters.value.find(cluster => cluster.id === session.cluster)?.name ?? ''
  const run = (action: SessionAction) => {
    if (action === 'end') setEnding(true)
    else if (action === 'again') setAgain(true)
    else if (action !== 'open') void actions.run(action, session)
  }
  useEffect(() => {
    document.title = `${title} · Porthole`
  }, [title])
  const asked = useStore(app.live.events, list => list.findLast(event => isAsked(event, session.id)) ?? null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: one message for each time somebody asked
  useEffect(() => {
    const guest = asked?.viewer
    if (!owner || typeof guest !== 'string' || app.clock.now() - Date.parse(asked?.created_at ?? '') > 60_000) return
    const give = () =>
      void app.api
        .setControl(session.id, { mode: 'single', viewer: guest })
        .catch(error => app.toasts.failed('Control was not given', error))
    app.toasts.say('A guest asks for control.', { tone: 'quiet', action: { label: 'Give it', run: give } })
  }, [asked?.id, owner])
  const items = menuFor(session, run).filter(item => item.label !== 'Extend')

  return (
    <div className="session">
      <header className="session-head">
        <Link to="/sessions" className="icon-button" aria-label="Back to the sessions">
          <Icon name="back" />
        </Link>
        <div className="session-title">
          <h1 title={title}>{title}</h1>
          <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
        </div>
        {session.status === 'running' && (
          <div className="session-time">
            <Icon name="clock" size={16} />
            <TimeLeft session={session} />
            {mayWrite && (session.ttl_seconds !== null || session.idle_timeout_seconds !== null) && (
              <Button size="small" onClick={() => run('extend')}>
                Extend
              </Button>
            )}
          </div>
        )}
        {mayShare && (
          <Button size="small" icon="share" className="session-share" onClick={() => setSharing(true)}>
            <span>Share</span>
          </Button>
        )}
        {mayWrite && <Menu label="Session actions" items={items} />}
      </header>
      <div className="session-body" data-panel={panel || undefined}>
        <Stage
          session={session}
          mayControl={allows(me, 'sessions:connect')}
          owner={owner}
          mine={mine}
          onMine={setMine}
          panelOpen={panel}
          onPanel={open => {
            setPanel(open)
            remember('porthole.panel', open ? 'open' : 'closed')
          }}
          actions={
            mayWrite &&
            (word.actions.includes('start') ? (
              <Button kind="primary" icon="start" onClick={() => run('start')}>
                Start again
              </Button>
            ) : (
              word.actions.includes('again') && (
                <Button kind="primary" icon="plus" onClick={() => run('again')}>
                  New one like it
                </Button>
              )
            ))
          }
        />
        <aside className="side" aria-label="About the session">
          <Tabs<TabKey>
            label="About the session"
            chosen={tab}
            onChoose={setTab}
            tabs={[
              { key: 'connect', label: 'Connect' },
              ...(session.headless ? [] : [{ key: 'viewers' as const, label: 'Viewers' }]),
              { key: 'history', label: 'History' },
              { key: 'logs', label: 'Logs' },
              { key: 'files', label: 'Files' },
              ...(allows(me, 'exec') ? [{ key: 'terminal' as const, label: 'Terminal' }] : []),
              ...(session.recording ? [{ key: 'recordings' as const, label: 'Recording' }] : []),
              { key: 'details', label: 'Details' },
            ]}
          >
            {tab === 'connect' && <ConnectTab session={session} />}
            {tab === 'viewers' && <ViewersTab session={session} mine={mine} owner={owner} />}
            {tab === 'history' && <HistoryTab session={session} />}
            {tab === 'logs' && <LogsTab session={session} />}
            {tab === 'files' && <FilesTab session={session} mayWrite={mayWrite} />}
            {tab === 'terminal' && <TerminalTab session={session} />}
            {tab === 'recordings' && <RecordingsTab session={session} />}
            {tab === 'details' && <DetailsTab session={session} clusterName={clusterName} />}
          </Tabs>
        </aside>
      </div>
      {again && (
        <NewSessionDialog templates={templates} clusters={clusters.value} like={session} onClose={() => setAgain(false)} />
      )}
      {sharing && <ShareDialog session={session} onClose={() => setSharing(false)} />}
      {ending && (
        <ConfirmDialog
          title={`End ${title}?`}
          verb="End and delete"
          onClose={() => setEnding(false)}
          onConfirm={async () => {
            if (await actions.run('end', session)) app.router.go('/sessions')
          }}
        >
          <p>Its programs are closed and its files deleted, unless they live on a volume. To keep them, stop it instead.</p>
        </ConfirmDialog>
      )}
    </div>
  )
}
