/** One job: its log, where it stands, what it made, and its earlier attempts. */
import '../../styles/session.css'
import '../../styles/session-panel.css'
import '../../styles/jobs.css'
import { type ReactNode, useEffect, useState } from 'react'
import { ApiError } from '../../api/api-error.ts'
import type { Job, JobWithAttempts, Me } from '../../api/contract.ts'
import { allows, useApp } from '../../app-context.tsx'
import { amountOf, bytes, cores } from '../../format/quantity.ts'
import { safeLine } from '../../format/safe-text.ts'
import { duration, fullDate } from '../../format/time.ts'
import { fetched, gone } from '../../live/entities.ts'
import { useStore } from '../../live/observable.ts'
import { Button } from '../../parts/button.tsx'
import { Icon } from '../../parts/icons.tsx'
import { Menu } from '../../parts/menu.tsx'
import { Age, Ago } from '../../parts/moments.tsx'
import { EmptyState, FailedState, Notice, Skeleton } from '../../parts/states.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { useAsked, useClusters } from '../sessions/catalogue.ts'
import { actionWords, useJobActions } from './job-actions.tsx'
import { JobLog } from './job-log.tsx'
import { ProgressBar } from './job-progress.tsx'
import { ResultView } from './job-result.tsx'
import { JobShell, mayStepInside } from './job-shell.tsx'
import { askedFor, jobActions, jobLine, jobTitle, jobWord, tookWords, typeWord } from './job-words.ts'

export function JobPage({ id, me }: { id: string; me: Me }) {
  const { api, live } = useApp()
  const told = useStore(live.jobs, state => state.entries[id]?.value ?? null)
  const deleted = useStore(live.jobs, state => state.entries[id]?.value === null)
  // Events do not carry earlier attempts: with each new one they are asked for.
  const asked = useAsked<JobWithAttempts | null>(
    null,
    async signal => {
      const asOf = live.jobs.get().tick
      try {
        const job = await api.job(id, signal)
        live.jobs.update(state => fetched(state, [job], asOf))
        return job
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) live.jobs.update(state => gone(state, id))
        throw error
      }
    },
    `${id} ${told?.attempt ?? 0}`,
  )
  if (deleted || (asked.error instanceof ApiError && asked.error.status === 404)) {
    return (
      <EmptyState weather="night" title="There is no such job" action={<Link to="/jobs">To the jobs</Link>}>
        It was deleted, or it belongs to someone else.
      </EmptyState>
    )
  }
  const job = told ? { ...told, attempts: asked.value?.attempts ?? [] } : asked.value
  if (job) return <OpenJob job={job} me={me} />
  if (asked.phase === 'failed' && asked.error) return <FailedState error={asked.error} onRetry={asked.retry} />
  return (
    <div className="session" aria-busy="true">
      <div className="session-head">
        <Skeleton width="220px" height="24px" />
      </div>
    </div>
  )
}

function OpenJob({ job, me }: { job: JobWithAttempts; me: Me }) {
  const { router } = useApp()
  const clusters = useClusters(allows(me, 'clusters:read'))
  const [chosen, setChosen] = useState<number | null>(null)
  const actions = useJobActions(() => router.go('/jobs'))
  const word = jobWord(job)
  const title = jobTitle(job)
  const line = jobLine(job)
  const attempt = Math.min(chosen ?? job.attempt, Math.max(1, job.attempt))
  const mayWrite = allows(me, 'jobs:write')
  const can = jobActions(job)
  useEffect(() => {
    document.title = `${title} · Porthole`
  }, [title])

  return (
    <div className="session">
      <header className="session-head">
        <Link to="/jobs" className="icon-button" aria-label="Back to the jobs">
          <Icon name="back" />
        </Link>
        <div className="session-title">
          <h1 title={title}>{title}</h1>
          <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
        </div>
        {allows(me, 'exec') && mayStepInside(job) && <JobShell job={job} />}
        {mayWrite && can.includes('cancel') && (
          <Button size="small" icon="stop" className="in-menu" onClick={() => actions.ask('cancel', job)}>
            Cancel
          </Button>
        )}
        {mayWrite && can.includes('retry') && (
          <Button size="small" icon="restart" className="in-menu" onClick={() => actions.ask('retry', job)}>
            Run it again
          </Button>
        )}
        {mayWrite && (
          <Menu
            label="Job actions"
            items={can.map(action => ({ ...actionWords[action], onPick: () => actions.ask(action, job) }))}
          />
        )}
      </header>
      <div className="job-body">
        <JobLog key={attempt} job={job} attempt={attempt} />
        <aside className="job-side" aria-label="About the job">
          {line && <Notice tone={word.tone === 'good' ? 'quiet' : word.tone === 'wait' ? 'quiet' : word.tone}>{line}</Notice>}
          {job.status === 'running' && job.progress && <ProgressBar progress={job.progress} />}
          {job.attempts.length > 0 && <Attempts job={job} chosen={attempt} onChoose={setChosen} />}
          <Facts job={job} clusterName={clusters.value.find(one => one.id === job.cluster)?.name ?? ''} />
          {job.resources.length > 0 && <Made resources={job.resources} />}
          {job.result && <ResultView result={job.result} />}
          <h3>Asked for</h3>
          <pre>{askedFor(job.spec)}</pre>
        </aside>
      </div>
      {actions.dialog}
    </div>
  )
}

function Attempts({ job, chosen, onChoose }: { job: JobWithAttempts; chosen: number; onChoose: (attempt: number) => void }) {
  return (
    <label className="field">
      <span className="faint">Attempt</span>
      <select className="select" value={chosen} onChange={event => onChoose(Number(event.currentTarget.value))}>
        <option value={job.attempt}>{`${job.attempt}, the present one`}</option>
        {[...job.attempts]
          .filter(one => one.attempt !== job.attempt)
          .reverse()
          .map(one => (
            <option key={one.attempt} value={one.attempt}>
              {[String(one.attempt), one.status, one.exit_code === null ? '' : `code ${one.exit_code}`]
                .filter(Boolean)
                .join(', ')}
            </option>
          ))}
      </select>
    </label>
  )
}

function Facts({ job, clusterName }: { job: Job; clusterName: string }) {
  const cpu = amountOf(job.limits.cpu)
  const memory = amountOf(job.limits.memory)
  const limits = [cpu !== null && cores(Math.round(cpu * 1000)), memory !== null && bytes(memory)].filter(Boolean).join(', ')
  return (
    <dl className="facts">
      <Fact name="Id">
        <span className="mono">{job.id}</span>
      </Fact>
      <Fact name="Type">{typeWord(job.type)}</Fact>
      <Fact name="User">{safeLine(job.user)}</Fact>
      <Fact name="Cluster">{clusterName || job.cluster || 'not chosen yet'}</Fact>
      <Fact name="Made">
        <Ago at={job.created_at} />
      </Fact>
      {job.started_at && (
        <Fact name={job.status === 'running' ? 'Runs for' : 'Took'}>
          {job.status === 'running' ? <Age at={job.started_at} /> : tookWords(job) || '–'}
        </Fact>
      )}
      {job.ended_at && <Fact name="Ended">{fullDate(job.ended_at)}</Fact>}
      {job.exit_code !== null && <Fact name="Exit code">{job.exit_code}</Fact>}
      <Fact name="Attempt">
        {Math.max(1, job.attempt)} of {job.max_attempts}
      </Fact>
      {job.priority !== 0 && <Fact name="Priority">{job.priority}</Fact>}
      {limits && <Fact name="Limits">{limits}</Fact>}
      <Fact name="Ends after">{duration(job.timeout_seconds * 1000)}</Fact>
      {Object.keys(job.labels).length > 0 && (
        <Fact name="Labels">
          <ul className="chips">
            {Object.entries(job.labels).map(([key, value]) => (
              <li key={key} className="chip mono">
                {key}={value}
              </li>
            ))}
          </ul>
        </Fact>
      )}
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

const goodState =
  /^(ready|available|complete|bound|applied|created|configured|unchanged|active|healthy|done|succeeded|deleted|pruned)/i
const badState = /^(fail|error|refused|crash|degraded|lost|rolled)/i

function Made({ resources }: { resources: Job['resources'] }) {
  return (
    <>
      <h3>In the cluster</h3>
      <ul className="job-made">
        {resources.map(one => (
          <li key={`${one.kind} ${one.namespace} ${one.name}`}>
            <span>
              {safeLine(one.kind)} <strong className="mono">{safeLine(one.name)}</strong>
            </span>
            <StatusBadge
              word={safeLine(one.state)}
              tone={goodState.test(one.state) ? 'good' : badState.test(one.state) ? 'bad' : 'wait'}
            />
            {one.reason && <p>{safeLine(one.reason)}</p>}
          </li>
        ))}
      </ul>
    </>
  )
}
