/** What the API is told about a job: the attempt as it is, coloured by what the agent knows of it. Pure. */
import type { DesiredJob, JobCause, JobOutcome, ObservedJob } from '#protocol/job-spec.ts'
import type { JobInstance } from '../runtimes/job-runtime.ts'
import { mustUndo } from './plan-jobs.ts'

export interface JobFacts {
  wanted: DesiredJob
  instances: readonly JobInstance[]
  /** It can never be made here. */
  refused: { cause: JobCause; reason: string } | null
  /** Its output was taken in full, or waited for long enough. */
  log: 'taken' | 'late' | 'pending'
  undone: boolean
  /** This life of the agent has seen it. */
  known: boolean
}

export interface JobView {
  item: ObservedJob
  /** Equal keys say the same thing: ages that merely grew are no news. */
  key: string
}

/** null: it is about to be made. What the API has heard of counts as begun for ever, so it hears only of what exists for good. */
export function observedJob(facts: JobFacts, wall: number): JobView | null {
  const { wanted } = facts
  const mine = facts.instances.find(instance => instance.attempt === wanted.attempt)
  const state = stateOf(facts, mine)
  if (!state) return null
  const item: ObservedJob = {
    id: wanted.id,
    attempt: wanted.attempt,
    exit_code: mine?.exitCode ?? null,
    started_age_ms: mine?.startedAt == null ? null : Math.max(0, wall - mine.startedAt),
    duration_ms: mine?.startedAt == null || mine.endedAt === null ? null : Math.max(0, mine.endedAt - mine.startedAt),
    progress: mine?.progress ?? null,
    resources: mine?.resources ?? [],
    result: mine?.result ?? null,
    ...state,
  }
  return { item, key: JSON.stringify({ ...item, started_age_ms: mine?.startedAt ?? null }) }
}

type State = Pick<ObservedJob, 'phase' | 'log_complete'> & Partial<Pick<ObservedJob, 'outcome' | 'cause' | 'reason'>>

function stateOf({ wanted, instances, refused, log, undone, known }: JobFacts, mine: JobInstance | undefined): State | null {
  const over = (outcome: JobOutcome, cause: JobCause, reason: string): State => ({
    phase: 'ended',
    outcome,
    cause,
    reason,
    log_complete: true,
  })
  if (wanted.state === 'finished' || wanted.state === 'deleted') {
    const gone = instances.length === 0 && (!mustUndo(wanted) || undone)
    return { phase: gone ? 'absent' : 'stopping', log_complete: gone }
  }
  if (!mine) {
    if (refused) return over('failed', refused.cause, refused.reason)
    if (wanted.state === 'canceled') return over('canceled', 'canceled', 'It was canceled.')
    if (wanted.seen || known) return over('failed', 'lost', 'It vanished from its cluster; nobody knows how it went.')
    return null
  }
  // Its end is told with its last line, or without it once that was waited for.
  if (mine.phase === 'ended' && log === 'pending') return { phase: 'running', log_complete: false }
  const reason = mine.reason === undefined ? {} : { reason: mine.reason }
  if (mine.phase !== 'ended') return { phase: mine.phase, log_complete: false, ...reason }
  return {
    phase: 'ended',
    outcome: mine.outcome ?? 'failed',
    ...(mine.cause ? { cause: mine.cause } : {}),
    ...reason,
    log_complete: log === 'taken',
  }
}
