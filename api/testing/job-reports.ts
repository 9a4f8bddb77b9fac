/** What an agent would say of a job, and the shortest ways to say it. */
import type { ObservedJob } from '#protocol/job-spec.ts'

export function seenJob(id: string, phase: ObservedJob['phase'], more: Partial<ObservedJob> = {}): ObservedJob {
  return {
    id,
    attempt: 1,
    phase,
    exit_code: null,
    log_complete: phase === 'ended',
    started_age_ms: phase === 'running' || phase === 'ended' ? 1_000 : null,
    duration_ms: phase === 'ended' ? 1_000 : null,
    progress: null,
    resources: [],
    result: null,
    ...more,
  }
}

export const endedJob = (id: string, exitCode: number, more: Partial<ObservedJob> = {}): ObservedJob =>
  seenJob(id, 'ended', {
    outcome: exitCode === 0 ? 'succeeded' : 'failed',
    cause: 'exit',
    exit_code: exitCode,
    reason: `It ended with exit code ${exitCode}.`,
    ...more,
  })
