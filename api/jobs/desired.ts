/** What a cluster's agent should know of jobs: the part of desired state that sessions/desired.ts lays beside sessions. */
import { sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { type DesiredJob, type JobSpec, secretNamesOf } from '#protocol/job-spec.ts'
import { registriesSecret } from '#protocol/works-spec.ts'
import type { ApiConfig } from '../config.ts'
import { openLogins } from '../registries/service.ts'
import { openSecrets } from '../secrets/service.ts'
import { openedSpec } from './kept-spec.ts'
import type { JobRow } from './view.ts'

export interface DesiredJobRow {
  seq: number
  job: DesiredJob
}

/** A page of jobs may be this long as JSON, so that it fits into one message of the link; at least one is in it. */
export const desiredPageBytes = 512 * 1024

/** What is read of a job's row. */
export const jobColumns = sql.raw(
  `id, attempt, desired, seen, project_id, user_id, labels, type, case when desired <> 'finished' then spec end as spec, timeout_seconds, grace_seconds, change_seq`,
)
export interface JobJson extends Pick<JobRow, 'id' | 'attempt' | 'seen' | 'project_id' | 'user_id' | 'labels' | 'type'> {
  desired: DesiredJob['state']
  spec: JobSpec | null
  timeout_seconds: number
  grace_seconds: number
  change_seq: number
}

/** With the values that they are given, as these are now: never older than the jobs. */
export async function desiredJobs(db: Sql, config: ApiConfig, rows: readonly JobJson[]): Promise<DesiredJobRow[]> {
  const found: DesiredJobRow[] = []
  for (const row of rows) found.push({ seq: row.change_seq, job: await desiredJob(db, config, row) })
  return found
}

async function desiredJob(db: Sql, config: ApiConfig, row: JobJson): Promise<DesiredJob> {
  const { desired: state, spec } = row
  const mayRun = state === 'running' || state === 'canceled'
  const names = mayRun && spec ? secretNamesOf(spec) : []
  return {
    id: row.id,
    attempt: row.attempt,
    state,
    seen: row.seen,
    project: row.project_id,
    user: row.user_id,
    labels: row.labels,
    ...(spec === null ? {} : { spec: await openedSpec(config, row.project_id, spec) }),
    ...(names.length > 0 || (mayRun && row.type === 'build') ? { secrets: await secretsOf(db, config, row, names) } : {}),
    timeout_ms: row.timeout_seconds * 1000,
    grace_ms: row.grace_seconds * 1000,
  }
}

async function secretsOf(db: Sql, config: ApiConfig, row: JobJson, names: string[]): Promise<Record<string, string>> {
  const values = await openSecrets(db, config, row.project_id, names)
  return row.type === 'build' ? { ...values, [registriesSecret]: await openLogins(db, config, row.project_id) } : values
}
