/**
 * Takes quota in the transaction that uses it. The project's row is locked first, then what lives is counted: there is no counter that
 * could drift, and of any number of racers only as many get through as there is room for. What ends stops counting by itself.
 */
import { type AnyColumn, and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { grants, jobs, projects, type Quotas, sessions, type TokenLimits, volumes } from '#db/schema.ts'
import { notFound, Problem } from '../problem.ts'
import { bytesQuantity, cpuQuantity } from '../templates/quantity.ts'

export interface Usage {
  sessions: number
  cpu_millis: number
  memory_bytes: number
  storage_bytes: number
  /** In clusters now; those that wait hold nothing. */
  jobs: number
}

/** Statuses that hold what they took, `stopping` and what an offline cluster may still run included. */
const holding = ['queued', 'starting', 'running', 'stopping'] as const

const limits = [
  ['sessions', 'max_sessions', 'max_sessions', String],
  ['cpu_millis', 'max_cpu_millis', 'max_cpu', cpuQuantity],
  ['memory_bytes', 'max_memory_bytes', 'max_memory', bytesQuantity],
  ['storage_bytes', 'max_storage_bytes', 'max_storage', bytesQuantity],
] as const satisfies readonly (readonly [keyof Usage, keyof Quotas, string, (amount: number) => string])[]

/** Whose share is taken: a user's within the project, and what the token itself allows. */
export interface Taker {
  user: string
  token: string
  limits: TokenLimits
}

/** Refuses with 403 `quota_exceeded`, saying which; otherwise the caller writes what it took before it commits. */
export async function takeQuota(tx: Tx, project: string, want: Partial<Usage>, who?: Taker): Promise<void> {
  // Sent together, done in this order: what is counted is counted under the lock.
  const [[row], used] = await Promise.all([
    tx.select({ quotas: projects.quotas }).from(projects).where(eq(projects.id, project)).for('update').execute(),
    usageOf(tx, project),
  ])
  if (!row) throw notFound('project')
  for (const [what, limit, word, show] of limits) {
    const max = row.quotas[limit]
    const wanted = want[what] ?? 0
    if (max === null || max === undefined || wanted === 0) continue
    if (used[what] + wanted > max) {
      throw new Problem(
        'quota_exceeded',
        `${word}: ${show(used[what])} of ${show(max)} in use, ${show(wanted)} more wanted. End a session, or ask for a larger quota.`,
        { errors: [{ pointer: word, detail: `used ${show(used[what])}, limit ${show(max)}, wanted ${show(wanted)}` }] },
      )
    }
  }
  if (who && want.sessions) await takeOwnShare(tx, project, row.quotas, who)
}

/** Under the project's lock, so exact as well. */
async function takeOwnShare(tx: Tx, project: string, quotas: Quotas, { user, token, limits }: Taker): Promise<void> {
  const [perUser, perToken] = [quotas.max_sessions_per_user ?? null, limits.max_sessions ?? null]
  if (perUser === null && perToken === null) return
  const [used] = await tx
    .select({
      user: sql<number>`count(*) filter (where ${sessions.user_id} = ${user})::int`,
      token: sql<number>`count(*) filter (where ${sessions.created_by} = ${token})::int`,
    })
    .from(sessions)
    .where(and(eq(sessions.project_id, project), inArray(sessions.status, [...holding])))
  if (perUser !== null && used!.user >= perUser) throw exceeded('max_sessions_per_user', used!.user, perUser)
  if (perToken !== null && used!.token >= perToken) throw exceeded('token max_sessions', used!.token, perToken)
}

export function exceeded(word: string, used: number, max: number): Problem {
  return new Problem('quota_exceeded', `${word}: ${used} of ${max} in use.`, {
    errors: [{ pointer: word, detail: `used ${used}, limit ${max}` }],
  })
}

export async function usageOf(db: Sql, project: string): Promise<Usage> {
  return (await usageOfAll(db, [project])).get(project)!
}

/** Also projects that use nothing are in the map. Three statements, sent together. */
export async function usageOfAll(db: Sql, ids: readonly string[]): Promise<Map<string, Usage>> {
  const usage = new Map<string, Usage>(
    ids.map(id => [id, { sessions: 0, cpu_millis: 0, memory_bytes: 0, storage_bytes: 0, jobs: 0 }]),
  )
  if (ids.length === 0) return usage
  const sum = (column: AnyColumn) => sql`coalesce(sum(${column}), 0)`.mapWith(Number)
  const count = sql`count(*)`.mapWith(Number)
  const [living, working, kept] = await Promise.all([
    db
      .select({
        project: sessions.project_id,
        sessions: count,
        cpu_millis: sum(sessions.cpu_millis),
        memory_bytes: sum(sessions.memory_bytes),
        storage_bytes: sum(sessions.storage_bytes),
      })
      .from(sessions)
      .where(and(inArray(sessions.project_id, [...ids]), inArray(sessions.status, [...holding])))
      .groupBy(sessions.project_id),
    // Jobs hold theirs while a cluster has them; waiting ones hold nothing.
    db
      .select({
        project: jobs.project_id,
        jobs: count,
        cpu_millis: sum(jobs.cpu_millis),
        memory_bytes: sum(jobs.memory_bytes),
      })
      .from(jobs)
      .where(
        and(inArray(jobs.project_id, [...ids]), inArray(jobs.status, ['queued', 'running']), sql`${jobs.cluster_id} is not null`),
      )
      .groupBy(jobs.project_id),
    // Volumes hold their size whether somebody uses them or not.
    db
      .select({ project: volumes.project_id, storage_bytes: sum(volumes.size_bytes) })
      .from(volumes)
      .where(and(inArray(volumes.project_id, [...ids]), eq(volumes.desired, 'present')))
      .groupBy(volumes.project_id),
  ])
  for (const { project, ...used } of [...living, ...working, ...kept]) {
    const all = usage.get(project)!
    for (const [what, amount] of Object.entries(used)) all[what as keyof Usage] += amount
  }
  return usage
}

/** With the streams that are open; exchanges (files, logs, screenshots) are none. They change too often to be counted at every create. */
export async function usageWithStreams(db: Sql, ids: readonly string[]): Promise<Map<string, ToldUsage>> {
  const [usage, open] = await Promise.all([
    usageOfAll(db, ids),
    ids.length === 0
      ? []
      : db
          .select({ project: grants.project_id, n: sql`count(*)`.mapWith(Number) })
          .from(grants)
          .where(and(inArray(grants.project_id, [...ids]), isNull(grants.closed_at), sql`${grants.kind} not in ('http', 'logs')`))
          .groupBy(grants.project_id),
  ])
  const streams = new Map(open.map(row => [row.project, row.n]))
  return new Map([...usage].map(([id, used]) => [id, { ...used, streams: streams.get(id) ?? 0 }]))
}

export async function usageTold(db: Sql, project: string): Promise<ToldUsage> {
  return (await usageWithStreams(db, [project])).get(project)!
}

export type ToldUsage = Usage & { streams: number }
