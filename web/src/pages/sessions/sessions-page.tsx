/** Every session of the project, live: pictures of what runs, reasons for what does not. */
import '../../styles/sessions.css'
import { useCallback, useDeferredValue, useMemo, useState } from 'react'
import type { Me, Session } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { type SessionAction, titleOf } from '../../format/session-words.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { ConfirmDialog } from '../../parts/dialog.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { EmptyState, FailedState } from '../../parts/states.tsx'
import { useSearch } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { recall, remember } from '../../shell/theme.ts'
import { useClusters, useTemplates } from './catalogue.ts'
import { NewSessionDialog } from './new-session-dialog.tsx'
import { sessionActions } from './session-actions.ts'
import { CardSkeleton, SessionCard } from './session-card.tsx'
import { type Group, type ListFilter, useSessionList } from './session-list.ts'

type Layout = 'grid' | 'rows'
const layoutKey = 'porthole.sessions.layout'

export function SessionsPage({ me }: { me: Me }) {
  const app = useApp()
  const search = useSearch()
  const [layout, setLayout] = useState<Layout>(recall(layoutKey) === 'rows' ? 'rows' : 'grid')
  const [creating, setCreating] = useState<true | Session | null>(null)
  const [ending, setEnding] = useState<Session | null>(null)
  const templates = useTemplates()
  const clusters = useClusters(allows(me, 'clusters:read'))
  const text = search.get('q')
  const filter: ListFilter = {
    group: groupOf(search.get('show')),
    template: search.get('template'),
    cluster: search.get('cluster'),
    text: useDeferredValue(text),
  }
  const { sessions, loaded, retry, loadMore } = useSessionList(filter)
  const actions = useMemo(() => sessionActions(app), [app])
  const clusterNames = useMemo(() => new Map(clusters.value.map(one => [one.id, one.name])), [clusters.value])
  const templateNames = useMemo(() => new Map(templates.value.map(one => [one.id, one.name])), [templates.value])
  const mayWrite = allows(me, 'sessions:write')
  const onAction = useCallback(
    (action: SessionAction, session: Session) => {
      if (action === 'end') setEnding(session)
      else if (action === 'again') setCreating(session)
      else if (action !== 'open') void actions.run(action, session)
    },
    [actions],
  )
  const filtered = Boolean(filter.template || filter.cluster || text)
  const firstLoad = loaded.phase === 'loading' && sessions.length === 0

  return (
    <>
      <PageHead title="Sessions" summary={<Summary known={loaded.phase === 'ready'} />}>
        {mayWrite && (
          <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
            New session
          </Button>
        )}
      </PageHead>

      <search className="filters tip-end">
        <Segmented<Group>
          label="Show"
          chosen={filter.group}
          onChoose={group => search.set({ show: group === 'active' ? '' : group })}
          choices={[
            { key: 'active', label: 'Active' },
            { key: 'ended', label: 'Ended' },
            { key: 'all', label: 'All' },
          ]}
        />
        <label className="search">
          <Icon name="search" size={16} />
          <span className="unseen">Search by name, id, user or label</span>
          <input
            type="search"
            placeholder="Name, id, user, label"
            value={text}
            onChange={event => search.set({ q: event.currentTarget.value })}
          />
        </label>
        <select
          className="select"
          aria-label="Template"
          value={filter.template}
          onChange={event => search.set({ template: event.currentTarget.value })}
        >
          <option value="">All templates</option>
          {templates.value.map(template => (
            <option key={template.id} value={template.id}>
              {template.name}
            </option>
          ))}
        </select>
        {clusters.value.length > 1 && (
          <select
            className="select"
            aria-label="Cluster"
            value={filter.cluster}
            onChange={event => search.set({ cluster: event.currentTarget.value })}
          >
            <option value="">All clusters</option>
            {clusters.value.map(cluster => (
              <option key={cluster.id} value={cluster.id}>
                {cluster.name}
              </option>
            ))}
          </select>
        )}
        <span className="filters-rest" />
        <Segmented<Layout>
          label="Layout"
          iconsOnly
          chosen={layout}
          onChoose={next => {
            setLayout(next)
            remember(layoutKey, next)
          }}
          choices={[
            { key: 'grid', label: 'Pictures', icon: 'grid' },
            { key: 'rows', label: 'Rows', icon: 'rows' },
          ]}
        />
      </search>

      {loaded.phase === 'failed' && sessions.length === 0 ? (
        <FailedState error={loaded.error ?? new Error('Unknown fault')} onRetry={retry} />
      ) : !firstLoad && sessions.length === 0 ? (
        <NoSessions
          filtered={filtered}
          group={filter.group}
          onClear={() => search.set({ q: '', template: '', cluster: '' })}
          {...(mayWrite ? { onCreate: () => setCreating(true) } : {})}
        />
      ) : (
        <ul className="cards" data-layout={layout} aria-busy={firstLoad}>
          {firstLoad && ['a', 'b', 'c', 'd', 'e', 'f'].map(key => <CardSkeleton key={key} />)}
          {sessions.map(session => (
            <SessionCard
              key={session.id}
              session={session}
              clusterName={clusterNames.get(session.cluster ?? '') ?? ''}
              templateName={templateNames.get(session.template) ?? session.template}
              mayWrite={mayWrite}
              onAction={onAction}
            />
          ))}
        </ul>
      )}
      {loaded.more && (
        <div className="load-more">
          <Button busy={loaded.phase === 'loading'} onClick={() => void loadMore()}>
            Load more
          </Button>
          {filtered && text && <p className="faint">Searching what is loaded so far.</p>}
        </div>
      )}

      {creating && (
        <NewSessionDialog
          templates={templates}
          clusters={clusters.value}
          like={creating === true ? null : creating}
          onClose={() => setCreating(null)}
        />
      )}
      {ending && (
        <ConfirmDialog
          title={`End ${titleOf(ending)}?`}
          verb="End and delete"
          onClose={() => setEnding(null)}
          onConfirm={async () => void (await actions.run('end', ending))}
        >
          <p>Its programs are closed and its files deleted, unless they live on a volume. To keep them, stop it instead.</p>
        </ConfirmDialog>
      )}
    </>
  )
}

function groupOf(word: string): Group {
  return word === 'ended' || word === 'all' ? word : 'active'
}

/** Counts over what is known; the words are those of the cards. */
function Summary({ known }: { known: boolean }) {
  const { live } = useApp()
  const words = useStore(live.sessions, state => {
    const tally: Record<string, number> = {}
    for (const entry of Object.values(state.entries))
      if (entry.value) tally[entry.value.status] = (tally[entry.value.status] ?? 0) + 1
    const parts = (['running', 'starting', 'queued', 'unreachable', 'failed'] as const).flatMap(status =>
      tally[status] ? [`${tally[status]} ${status}`] : [],
    )
    return parts.join(' · ')
  })
  return words || (known ? 'Nothing is running.' : '\u00a0')
}

interface NoSessionsProps {
  filtered: boolean
  group: Group
  onClear: () => void
  onCreate?: () => void
}

function NoSessions({ filtered, group, onClear, onCreate }: NoSessionsProps) {
  if (filtered) {
    return (
      <EmptyState weather="fog" title="Nothing matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
        No {group === 'all' ? '' : `${group} `}session fits what you asked for.
      </EmptyState>
    )
  }
  if (group === 'ended')
    return <EmptyState title="Nothing has ended yet">Stopped, failed and expired sessions are listed here.</EmptyState>
  return (
    <EmptyState
      title="Calm sea"
      action={
        onCreate && (
          <Button kind="primary" icon="plus" onClick={onCreate}>
            New session
          </Button>
        )
      }
    >
      {`${count(0, 'session').replace('0', 'No')} running. Start a browser or a desktop, and watch it live from here.`}
    </EmptyState>
  )
}
