/** Work with an end: what waits, what runs, how it went. It follows the events, as the sessions do. */
import '../../styles/jobs.css'
import { useState } from 'react'
import type { Cluster, Job, Me } from '../../api/contract.ts'
import { usePages } from '../../api/use-pages.ts'
import { allows, useApp } from '../../app-context.tsx'
import { count } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { newestFirst, refetched, valuesOf } from '../../live/entities.ts'
import { sameList, useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { Segmented } from '../../parts/form.tsx'
import { Icon } from '../../parts/icons.tsx'
import { LoadMore } from '../../parts/load-more.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Age, Ago } from '../../parts/moments.tsx'
import { EmptyState, FailedState, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link, useSearch } from '../../router.tsx'
import { PageHead } from '../../shell/shell.tsx'
import { useClusters } from '../sessions/catalogue.ts'
import { actionWords, useJobActions } from './job-actions.tsx'
import { ProgressBar } from './job-progress.tsx'
import { type JobGroup, jobActions, jobLine, jobTitle, jobWord, matches, tookWords, typeWord } from './job-words.ts'
import { NewJobDialog } from './new-job-dialog.tsx'

export function JobsPage({ me }: { me: Me }) {
  const { api, live } = useApp()
  const search = useSearch()
  const clusters = useClusters(allows(me, 'clusters:read'))
  const mayWrite = allows(me, 'jobs:write')
  const [asking, setAsking] = useState(false)
  const actions = useJobActions()
  const group = (search.get('show') || 'all') as JobGroup
  const filter = { group, type: search.get('type'), cluster: search.get('cluster'), text: search.get('q') }
  const { type, cluster } = filter
  const pages = usePages(`${group} ${type} ${cluster}`, async (cursor, signal) => {
    const asOf = live.jobs.get().tick
    const page = await api.jobs({ status: group === 'all' ? '' : group, type, cluster }, cursor, signal)
    const edge = page.has_more ? page.data.at(-1) : null
    const covers = (job: Job) => !cursor && matches(job, { ...filter, text: '' }) && (!edge || newestFirst(job, edge) <= 0)
    live.jobs.update(state => refetched(state, page.data, asOf, covers))
    return page
  })
  const edge = pages.more ? pages.items.at(-1) : null
  const jobs = useStore(
    live.jobs,
    state => valuesOf(state).filter(job => matches(job, filter) && (!edge || newestFirst(job, edge) <= 0)),
    sameList,
  )
  const filtered = Boolean(type || cluster || filter.text || group !== 'all')
  const moving = jobs.filter(job => jobWord(job).live).length
  const create = mayWrite && (
    <Button kind="primary" icon="plus" onClick={() => setAsking(true)}>
      New job
    </Button>
  )
  return (
    <>
      <PageHead
        title="Jobs"
        summary={jobs.length === 0 ? 'Work with an end.' : moving > 0 ? `${count(moving, 'job')} under way` : 'Nothing under way'}
      >
        {create}
      </PageHead>
      <search className="filters">
        <Segmented<JobGroup>
          label="Which jobs"
          chosen={group}
          onChoose={key => search.set({ show: key === 'all' ? '' : key })}
          choices={[
            { key: 'all', label: 'All' },
            { key: 'active', label: 'Under way' },
            { key: 'ended', label: 'Ended' },
          ]}
        />
        <div className="search">
          <Icon name="search" size={16} />
          <input
            aria-label="Search"
            placeholder="Name, id, user, label"
            value={filter.text}
            onChange={event => search.set({ q: event.currentTarget.value })}
          />
        </div>
        <select
          className="select"
          aria-label="Type"
          value={type}
          onChange={event => search.set({ type: event.currentTarget.value })}
        >
          <option value="">All types</option>
          {['run', 'build', 'deploy', 'manifest'].map(one => (
            <option key={one} value={one}>
              {typeWord(one)}
            </option>
          ))}
        </select>
        {clusters.value.length > 1 && (
          <select
            className="select"
            aria-label="Cluster"
            value={cluster}
            onChange={event => search.set({ cluster: event.currentTarget.value })}
          >
            <option value="">All clusters</option>
            {clusters.value.map(one => (
              <option key={one.id} value={one.id}>
                {one.name}
              </option>
            ))}
          </select>
        )}
      </search>
      {pages.phase === 'failed' && pages.error && jobs.length === 0 ? (
        <FailedState error={pages.error} onRetry={pages.reload} />
      ) : pages.phase === 'ready' && jobs.length === 0 ? (
        <EmptyState
          weather={filtered ? 'fog' : 'calm'}
          title={filtered ? 'Nothing matches' : 'No job yet'}
          action={
            filtered ? (
              <Button onClick={() => search.set({ show: '', type: '', cluster: '', q: '' })}>Clear the filters</Button>
            ) : (
              create
            )
          }
        >
          {filtered ? 'No job fits all of the filters.' : 'A job runs a command in one of your clusters and keeps what it wrote.'}
        </EmptyState>
      ) : (
        <ul className="table-frame" aria-busy={pages.phase === 'loading'}>
          {pages.phase === 'loading' && jobs.length === 0 && (
            <li className="job-row">
              <Skeleton height="20px" />
            </li>
          )}
          {jobs.map(job => (
            <Row
              key={job.id}
              job={job}
              cluster={clusters.value.find(one => one.id === job.cluster)}
              mayWrite={mayWrite}
              onAct={action => actions.ask(action, job)}
            />
          ))}
        </ul>
      )}
      <LoadMore pages={pages} />
      {asking && <NewJobDialog me={me} clusters={clusters.value} onClose={() => setAsking(false)} />}
      {actions.dialog}
    </>
  )
}

interface RowProps {
  job: Job
  cluster: Cluster | undefined
  mayWrite: boolean
  onAct: (action: ReturnType<typeof jobActions>[number]) => void
}

function Row({ job, cluster, mayWrite, onAct }: RowProps) {
  const word = jobWord(job)
  const title = jobTitle(job)
  const line = jobLine(job)
  return (
    <li className="job-row">
      <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
      <div className="job-main">
        <Link to={`/jobs/${encodeURIComponent(job.id)}`} title={title}>
          {title}
        </Link>
        <span className="faint">
          {typeWord(job.type)} · <bdi>{cluster?.name ?? job.cluster ?? 'no cluster yet'}</bdi> · <bdi>{safeLine(job.user)}</bdi>
          {job.attempt > 1 && ` · attempt ${job.attempt}`}
        </span>
        {line && (
          <span className="job-reason" data-tone={word.tone} title={line}>
            {line}
          </span>
        )}
        {job.status === 'running' && job.progress && <ProgressBar progress={job.progress} />}
      </div>
      <span className="job-time">
        {job.status === 'running' ? <Age at={job.started_at} /> : tookWords(job)}
        <span className="faint">
          <Ago at={job.ended_at ?? job.started_at ?? job.created_at} />
        </span>
      </span>
      {mayWrite ? (
        <Menu
          label={`Actions for ${title}`}
          items={jobActions(job).map(action => ({ ...actionWords[action], onPick: () => onAct(action) }))}
        />
      ) : (
        <span />
      )}
    </li>
  )
}
