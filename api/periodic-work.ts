/**
 * What no request does, by the clock. Each piece is idempotent and safe on every replica at once; the platforms only differ in who calls it
 * (timers of a process on Node, alarms and cron on Workers). What is asked for more often than a platform can comes as often as it can.
 */
import type { Db } from '#db/client.ts'
import { linkAudit } from './audit/chain.ts'
import { sweepAudit } from './audit/retention.ts'
import { sweepJobs, sweepOldJobs } from './jobs/sweep.ts'
import type { Log, Tunnel } from './platform.ts'
import { sweepStale } from './retention.ts'
import { sweepOld, sweepSessions } from './sessions/sweep.ts'
import { sweepOldTerminals } from './terminals/observe.ts'
import { sweepTerminals } from './terminals/sweep.ts'
import { sweepHooks } from './webhooks/service.ts'

export interface PeriodicEnv {
  db: Db
  tunnel: Tunnel
  /** What users reach the API by, for the objects that events carry. */
  origin: string
  log: Log
  /** How long the audit is kept; absent: a year and a month. */
  auditDays?: number
}

export interface PeriodicWork {
  name: string
  everyMs: number
  run(env: PeriodicEnv): Promise<void>
}

export const periodicWork: readonly PeriodicWork[] = [
  { name: 'session_sweep', everyMs: 2_000, run: sweepSessions },
  { name: 'job_sweep', everyMs: 2_000, run: sweepJobs },
  { name: 'hook_sweep', everyMs: 5_000, run: sweepHooks },
  { name: 'terminal_sweep', everyMs: 5_000, run: sweepTerminals },
  { name: 'audit_chain', everyMs: 5_000, run: ({ db }) => linkAudit(db) },
  { name: 'old_terminals', everyMs: 900_000, run: ({ db }) => sweepOldTerminals(db) },
  { name: 'retention', everyMs: 300_000, run: sweepOld },
  { name: 'job_retention', everyMs: 300_000, run: sweepOldJobs },
  { name: 'stale', everyMs: 900_000, run: ({ db }) => sweepStale(db) },
  { name: 'audit', everyMs: 900_000, run: ({ db, auditDays }) => sweepAudit(db, auditDays) },
]

/** Something ended: what waits may go now, without waiting for the clock. */
export async function useRoom(env: Pick<PeriodicEnv, 'db' | 'tunnel' | 'origin'>): Promise<void> {
  await Promise.all([sweepSessions(env), sweepJobs(env)])
}
