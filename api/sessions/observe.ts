/**
 * Takes an agent's report over. Fenced twice: by the link's epoch and the report's number (one guarded UPDATE of the cluster row, which
 * also locks it), and per session by generation. A late or replayed report changes nothing.
 */
import { and, eq, inArray, sql } from 'drizzle-orm'
import type { Db, Tx } from '#db/client.ts'
import { committing } from '#db/driver/pipelined.ts'
import { kept, keptSql } from '#db/kept.ts'
import { type SessionStatus, sessions, type TerminationReason, volumes } from '#db/schema.ts'
import { textArray } from '#db/together.ts'
import type { ObservedJob } from '#protocol/job-spec.ts'
import type { AgentLoad } from '#protocol/link-messages.ts'
import type { ObservedSession } from '#protocol/session-spec.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import { eventRow, type NewEvent } from '../events/emit.ts'
import { applyJobs } from '../jobs/observe.ts'
import type { Log } from '../platform.ts'
import { applyWarmItems, notePoolNews, type PoolNews } from '../pools/observe.ts'
import { applyTerminals } from '../terminals/observe.ts'
import { takeSeq } from './desired.ts'
import { isFinal, type LifecycleEvent, lifecycle } from './lifecycle.ts'
import { phaseNow } from './place.ts'
import { sessionForEvent } from './read.ts'
import { type SessionRow, sessionView } from './view.ts'

export interface ClusterReport {
  cluster: string
  epoch: number
  seq: number
  complete: boolean
  items: ObservedSession[]
  /** Deleted volumes whose files are gone. */
  absentVolumes: string[]
  terminals?: ObservedTerminal[] | undefined
  jobs: ObservedJob[]
  load: AgentLoad
}

export interface ReportOutcome {
  /** False: the epoch is over or the number was seen before; nothing changed. */
  applied: boolean
  /** Sessions and jobs that reached a final state or are gone: there may be room for queued ones. */
  settled: string[]
}

/** The first fence; it also locks the cluster. `online`: a link of it is held. */
const fence = keptSql<{ now: number; online: boolean }>(sql`
  update clusters set report_seq = ${sql.placeholder('seq')}, load = ${sql.placeholder('load')}::jsonb, link_seen_at = clock_timestamp()
  where id = ${sql.placeholder('cluster')} and epoch = ${sql.placeholder('epoch')} and report_seq < ${sql.placeholder('seq')}
  returning (extract(epoch from clock_timestamp()) * 1000)::float8 as now, link_replica_id is not null as online`)

/** Nothing but the load: the fence is all there is to write. */
function isQuiet({ items, absentVolumes, terminals = [], jobs, complete }: ClusterReport): boolean {
  return !complete && items.length + absentVolumes.length + terminals.length + jobs.length === 0
}

export async function applyReport(env: { db: Db; log: Log; origin: string }, report: ClusterReport): Promise<ReportOutcome> {
  const fences = { ...report, load: JSON.stringify(report.load) }
  if (isQuiet(report)) return { applied: (await fence(env.db, fences)).length > 0, settled: [] }
  let news: PoolNews[] = []
  const outcome = await env.db.transaction(async tx => {
    // Sent together, done in this order: what is read is read behind the fence.
    const [[fenced], rows] = await Promise.all([fence(tx, fences), report.items.length === 0 ? [] : lockReported(tx, report)])
    if (!fenced) return { applied: false, settled: [] }
    const { now } = fenced
    await forgetVolumes(tx, report)
    await applyTerminals(tx, report, env.origin)
    const settled: string[] = []
    if (report.items.length > 0) {
      const byId = new Map(rows.map(row => [row.id, row]))
      const round: Round = { ...env, now, online: fenced.online, rows: byId, changed: new Map(), gone: [], told: [] }
      for (const item of report.items) {
        const row = byId.get(item.id)
        if (row && (await applyItem(tx, round, row, item))) settled.push(row.id)
      }
      const others = report.items.filter(item => !byId.has(item.id))
      const last = others.length === 0 && report.jobs.length === 0
      await Promise.all([write(tx, round), last ? committing(tx) : null])
      news = await applyWarmItems(tx, { cluster: report.cluster, epoch: report.epoch, now }, others)
    }
    settled.push(...(await applyJobs(tx, { ...env, now }, report.cluster, report.jobs)))
    return { applied: true, settled }
  })
  if (news.length > 0)
    await notePoolNews(env.db, news).catch(error => env.log.warn('pool_not_counted', { message: String(error) }))
  return outcome
}

async function lockReported(tx: Tx, { cluster, items }: ClusterReport): Promise<SessionRow[]> {
  return lockedById(tx).execute({ cluster, ids: textArray(items.map(item => item.id)) })
}

const lockedById = kept(db =>
  db
    .select()
    .from(sessions)
    .where(and(eq(sessions.cluster_id, sql.placeholder('cluster')), sql`${sessions.id} = any(${sql.placeholder('ids')}::text[])`))
    .orderBy(sessions.id)
    .for('update')
    .prepare('reported_sessions'),
)

async function forgetVolumes(tx: Tx, { cluster, absentVolumes }: ClusterReport): Promise<void> {
  if (absentVolumes.length === 0) return
  await tx
    .delete(volumes)
    .where(and(eq(volumes.cluster_id, cluster), eq(volumes.desired, 'deleted'), inArray(volumes.id, absentVolumes)))
}

/** What one report does, gathered so that it is one statement. */
interface Round {
  log: Log
  origin: string
  /** The database's clock, epoch ms. */
  now: number
  online: boolean
  /** As they are by now: what is said twice builds on what was said first. */
  rows: Map<string, SessionRow>
  changed: Map<string, SessionRow>
  gone: string[]
  told: NewEvent[]
}

/** True when the session is final or gone now and was not before. */
async function applyItem(tx: Tx, round: Round, row: SessionRow, item: ObservedSession): Promise<boolean> {
  if (row.desired === 'deleted') {
    if (item.phase !== 'absent') return false
    round.gone.push(row.id)
    return true
  }
  if (item.generation !== row.generation || item.phase === 'absent') return false
  if (row.settling) {
    // Told before the agent heard that it is somebody's.
    if (item.warm === 'waiting') return false
    // It died before it was really anyone's: whoever was promised one gets another.
    if (item.phase === 'ended' && row.desired === 'running') return startAfresh(tx, round, row)
  }
  const event = eventOf(item)
  const cell = lifecycle[row.status][event]
  if (cell === 'illegal') {
    round.log.warn('report_ignored', { session: row.id, status: row.status, event })
    return false
  }
  const next: SessionStatus = cell === 'same' ? row.status : endedAs(row, cell)
  const change = observedColumns(row, item, next, round.now)
  const now: SessionRow = { ...row, ...change }
  round.rows.set(row.id, now)
  round.changed.set(row.id, now)
  if (cell !== 'same' || worthTelling(row, change)) {
    const session = sessionView(now, { online: round.online, position: null, origin: round.origin })
    round.told.push({ type: 'session.updated', project: row.project_id, session: row.id, data: { session } })
  }
  return isFinal(next) && !isFinal(row.status)
}

const observedNames = [
  ...(['status', 'status_reason', 'observed_generation', 'settling', 'phases', 'pod', 'versions', 'notes', 'display'] as const),
  ...(['last_activity_at', 'started_at', 'ended_at', 'termination_reason', 'desired'] as const),
] satisfies (keyof SessionRow)[]
const observed = sql.raw(observedNames.map(name => `"${name}" = seen."${name}"`).join(', '))

/** One statement: all of it with its events, or nothing. */
async function write(tx: Tx, { changed, gone, told }: Round): Promise<void> {
  if (changed.size + gone.length + told.length === 0) return
  const seen = [...changed.values()].map(row =>
    Object.fromEntries(['id' as const, ...observedNames].map(name => [name, row[name]])),
  )
  await writing(tx, { seen: JSON.stringify(seen), gone: textArray(gone), told: JSON.stringify(told.map(eventRow)) })
}

const writing = keptSql(sql`
  with moved as (
    update sessions set ${observed} from jsonb_populate_recordset(null::sessions, ${sql.placeholder('seen')}::jsonb) seen
    where sessions.id = seen.id
  ), removed as (
    delete from sessions where id = any(${sql.placeholder('gone')}::text[])
  )
  insert into events (id, project_id, session_id, type, data) select id, project_id, session_id, type, data
  from jsonb_populate_recordset(null::events, ${sql.placeholder('told')}::jsonb)`)

async function startAfresh(tx: Tx, round: Round, row: SessionRow): Promise<false> {
  const generation = row.generation + 1
  round.rows.set(row.id, { ...row, generation })
  round.changed.delete(row.id)
  await tx
    .update(sessions)
    .set({
      ...{ status: 'starting', status_reason: 'The warm one it was given had ended; another one starts.', settling: false },
      ...{ generation, change_seq: await takeSeq(tx, row.cluster_id!), phases: phaseNow('placed') },
      ...{ started_at: null, pod: null, versions: {}, notes: [], display: null },
    })
    .where(eq(sessions.id, row.id))
  const session = await sessionForEvent(tx, row.id, round.origin)
  if (session) round.told.push({ type: 'session.updated', project: row.project_id, session: row.id, data: { session } })
  return false
}

function eventOf(item: ObservedSession): LifecycleEvent {
  switch (item.phase) {
    case 'starting':
      return 'seen_starting'
    case 'running':
      return 'seen_running'
    case 'stopping':
      return 'seen_stopping'
    default:
      if (item.cause === 'ttl' || item.cause === 'idle') return 'seen_expired'
      return item.cause === 'stopped' ? 'seen_stopped' : 'seen_failed'
  }
}

/** What the API asked for names the end: a stop that was really the TTL's is `expired`, a failure while stopping is still a stop. */
function endedAs(row: SessionRow, next: SessionStatus): SessionStatus {
  if (!isFinal(next) || row.desired === 'running') return next
  return row.ending_reason === 'ttl' || row.ending_reason === 'idle' ? 'expired' : next === 'expired' ? 'expired' : 'stopped'
}

/** `now`: the database's clock, epoch ms. */
function observedColumns(row: SessionRow, item: ObservedSession, next: SessionStatus, now: number) {
  const ended = isFinal(next)
  const at = (ageMs: number) => new Date(now - ageMs)
  const known = new Set(row.phases.map(phase => phase.phase))
  const settled = row.settling && item.phase === 'running' && item.warm === undefined
  // What a warm one went through before it was taken is not this session's story.
  const since = row.pool_id && row.generation === 1 ? row.created_at.getTime() : 0
  const fresh = item.phases
    .filter(phase => !known.has(phase.phase) && at(phase.age_ms).getTime() >= since)
    .map(p => ({ phase: p.phase, at: at(p.age_ms).toISOString() }))
  const last = [
    ...(settled && !known.has('settled') ? ['settled'] : []),
    ...(next !== row.status && !known.has(next) && !fresh.some(p => p.phase === next) ? [next] : []),
  ].map(phase => ({ phase, at: at(0).toISOString() }))
  const reason = ended ? endReason(row, item) : (item.reason ?? null)
  return {
    status: next,
    status_reason: ended && isFinal(row.status) ? row.status_reason : reason,
    observed_generation: item.generation,
    ...(settled ? { settling: false } : {}),
    phases: [...row.phases, ...fresh, ...last].slice(-60),
    pod: item.pod,
    versions: item.versions,
    notes: item.notes,
    ...(item.display && item.warm === undefined ? { display: item.display } : {}),
    ...(item.idle_ms === null ? {} : { last_activity_at: laterOf(row.last_activity_at, at(item.idle_ms)) }),
    ...(next === 'running' && row.status !== 'running' && !row.started_at ? { started_at: at(0) } : {}),
    ...(ended && !isFinal(row.status) ? { ended_at: at(0), termination_reason: terminationOf(row, item) } : {}),
    // An end nobody asked for is final: the desired state follows it.
    ...(ended && row.desired === 'running' ? { desired: 'stopped' as const } : {}),
  }
}

function terminationOf(row: SessionRow, item: ObservedSession): TerminationReason {
  if (row.desired !== 'running' && row.ending_reason) return row.ending_reason
  if (item.cause === 'ttl' || item.cause === 'idle' || item.cause === 'start_timeout') return item.cause
  return item.cause === 'stopped' ? 'requested' : 'failed'
}

function endReason(row: SessionRow, item: ObservedSession): string {
  if (item.reason) return item.reason
  const words: Record<TerminationReason, string> = {
    requested: 'Stopped as requested.',
    ttl: 'Its time to live was over.',
    idle: 'Nobody used it for longer than its idle timeout.',
    failed: 'Its programs ended unexpectedly.',
    drained: 'Its cluster was drained.',
    start_timeout: 'It did not start in time.',
  }
  return words[terminationOf(row, item)]
}

/** Ages jitter by milliseconds from report to report: only a real step forward counts. */
function laterOf(known: Date | null, seen: Date): Date {
  return known && seen.getTime() - known.getTime() < 500 ? known : seen
}

function worthTelling(row: SessionRow, change: Partial<Record<keyof SessionRow, unknown>>): boolean {
  const fields = ['status_reason', 'phases', 'pod', 'versions', 'notes', 'display', 'last_activity_at'] as const
  return fields.some(field => field in change && JSON.stringify(change[field] ?? null) !== JSON.stringify(row[field] ?? null))
}
