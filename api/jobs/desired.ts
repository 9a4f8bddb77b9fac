/** What a cluster's agent should know of jobs: the part of desired state that sessions/desired.ts lays beside sessions. */
import { and, asc, eq, gt, ne } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { jobs } from '#db/schema.ts'
import { type DesiredJob, secretNamesOf } from '#protocol/job-spec.ts'
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

/** Jobs changed after `seq` (0: all that an agent should know), oldest change first, at most `limit + 1`. */
export async function jobsSince(
  db: Sql,
  config: ApiConfig,
  cluster: string,
  seq: number,
  limit: number,
): Promise<DesiredJobRow[]> {
  const rows = await db
    .select()
    .from(jobs)
    .where(and(eq(jobs.cluster_id, cluster), ne(jobs.desired, 'released'), gt(jobs.change_seq, seq)))
    .orderBy(asc(jobs.change_seq))
    .limit(limit + 1)
  const found: DesiredJobRow[] = []
  for (const row of rows) found.push({ seq: row.change_seq, job: await desiredJob(db, config, row) })
  return found
}

async function desiredJob(db: Sql, config: ApiConfig, row: JobRow): Promise<DesiredJob> {
  const state = row.desired === 'released' ? 'finished' : row.desired
  const mayRun = state === 'running' || state === 'canceled'
  const names = mayRun ? secretNamesOf(row.spec) : []
  return {
    id: row.id,
    attempt: row.attempt,
    state,
    seen: row.seen,
    project: row.project_id,
    user: row.user_id,
    labels: row.labels,
    ...(state === 'finished' ? {} : { spec: await openedSpec(config, row.project_id, row.spec) }),
    ...(names.length > 0 || (mayRun && row.type === 'build') ? { secrets: await secretsOf(db, config, row, names) } : {}),
    timeout_ms: row.timeout_seconds * 1000,
    grace_ms: row.grace_seconds * 1000,
  }
}

async function secretsOf(db: Sql, config: ApiConfig, row: JobRow, names: string[]): Promise<Record<string, string>> {
  const values = await openSecrets(db, config, row.project_id, names)
  return row.type === 'build' ? { ...values, [registriesSecret]: await openLogins(db, config, row.project_id) } : values
}
