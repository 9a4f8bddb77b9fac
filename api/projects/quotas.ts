/**
 * Takes quota in the transaction that uses it. The project's row is locked first, then what lives is counted: there is no counter that
 * could drift, and of any number of racers only as many get through as there is room for. What ends stops counting by itself.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { keptSql, rowsOf } from '#db/kept.ts'
import type { Quotas, TokenLimits } from '#db/schema.ts'
import { textArray } from '#db/together.ts'
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
const holding = sql.raw(`'queued', 'starting', 'running', 'stopping'`)

const limits = [
  ['sessions', 'max_sessions', 'max_sessions', String],
  ['cpu_millis', 'max_cpu_millis', 'max_cpu', cpuQuantity],
  ['memory_bytes', 'max_memory_bytes', 'max_memory', bytesQuantity],
  ['storage_bytes', 'max_storage_bytes', 'max_storage', bytesQuantity],
] as const satisfies readonly (readonly [keyof Usage, keyof Quotas, string, (amount: number) => string])[]

const counted = limits.map(([, limit]) => limit)
const counting = [...counted, 'max_sessions_per_user'] as const

/** Of a project's row: it has one of these. */
const limitedBy = (words: readonly (keyof Quotas)[]) =>
  sql.raw(`jsonb_strip_nulls(quotas) ?| array[${words.map(word => `'${word}'`).join(', ')}]`)

/** Of a project's row, and of its quotas: nobody's sessions are counted. */
export const isUnlimited = sql`not ${limitedBy(counting)}`
export const areUnlimited = (quotas: Quotas) => counting.every(word => (quotas[word] ?? null) === null)

/** Whose share is taken: a user's within the project, and what the token itself allows. */
export interface Taker {
  user: string
  token: string
  limits: TokenLimits
}

/** Refuses with 403 `quota_exceeded`, saying which; otherwise the caller writes what it took before it commits. */
export async function takeQuota(tx: Tx, project: string, want: Partial<Usage>, who?: Taker): Promise<void> {
  const room = await lockRoom(tx, project)
  await room.take(want, who)
}

/** Locks the project until the transaction ends. */
export async function lockRoom(tx: Tx, project: string): Promise<Room> {
  const [quotas, used] = await Promise.all([lockProject(tx, project), usageRows(tx, { projects: textArray([project]) })])
  return new Room(tx, project, quotas, sumOf(used))
}

/** Sent at once: what is sent behind it is read under the lock. */
export async function lockProject(tx: Tx, project: string): Promise<Quotas> {
  const [row] = await lockedProject(tx, { project })
  if (!row) throw notFound('project')
  return row.quotas
}

const lockedProject = keptSql<{ quotas: Quotas }>(
  sql`select quotas from projects where id = ${sql.placeholder('project')} for update`,
)

/** What a locked project has left; several may take from it one after the other, in one transaction. */
export class Room {
  private readonly tx: Tx
  private readonly project: string
  private readonly quotas: Quotas
  private readonly used: Usage
  private holders: { user: string; token: string }[] | null = null

  constructor(tx: Tx, project: string, quotas: Quotas, used: Usage) {
    this.tx = tx
    this.project = project
    this.quotas = quotas
    this.used = used
  }

  /** Takes all of it or, refusing, nothing. */
  async take(want: Partial<Usage>, who?: Taker): Promise<void> {
    for (const [what, limit, word, show] of limits) {
      const max = this.quotas[limit]
      const wanted = want[what] ?? 0
      const used = this.used[what]
      if (max === null || max === undefined || wanted === 0) continue
      if (used + wanted > max) {
        throw new Problem(
          'quota_exceeded',
          `${word}: ${show(used)} of ${show(max)} in use, ${show(wanted)} more wanted. End a session, or ask for a larger quota.`,
          { errors: [{ pointer: word, detail: `used ${show(used)}, limit ${show(max)}, wanted ${show(wanted)}` }] },
        )
      }
    }
    if (who && want.sessions) await this.takeOwnShare(who)
    for (const [what, amount] of Object.entries(want)) this.used[what as keyof Usage] += amount
  }

  /** What was taken before, by one who could not go on. */
  giveBack(want: Partial<Usage>, who: Taker): void {
    for (const [what, amount] of Object.entries(want)) this.used[what as keyof Usage] -= amount
    const at = this.holders?.findLastIndex(({ user, token }) => user === who.user && token === who.token) ?? -1
    if (at >= 0) this.holders!.splice(at, 1)
  }

  /** Who holds is asked for only where somebody's own share is limited. */
  private async takeOwnShare({ user, token, limits }: Taker): Promise<void> {
    const [perUser, perToken] = [this.quotas.max_sessions_per_user ?? null, limits.max_sessions ?? null]
    if (perUser !== null || perToken !== null) {
      this.holders ??= await holdersOf(this.tx, this.project)
      const byUser = this.holders.filter(each => each.user === user).length
      const byToken = this.holders.filter(each => each.token === token).length
      if (perUser !== null && byUser >= perUser) throw exceeded('max_sessions_per_user', byUser, perUser)
      if (perToken !== null && byToken >= perToken) throw exceeded('token max_sessions', byToken, perToken)
    }
    this.holders?.push({ user, token })
  }
}

/** User and token of each living session. */
async function holdersOf(tx: Tx, project: string): Promise<{ user: string; token: string }[]> {
  return [
    ...(await tx.execute<{ user: string; token: string }>(sql`
      select user_id as "user", created_by as token from sessions where project_id = ${project} and status in (${holding})`)),
  ]
}

export function exceeded(word: string, used: number, max: number): Problem {
  return new Problem('quota_exceeded', `${word}: ${used} of ${max} in use.`, {
    errors: [{ pointer: word, detail: `used ${used}, limit ${max}` }],
  })
}

export async function usageOf(db: Sql, project: string): Promise<Usage> {
  return (await usageOfAll(db, [project])).get(project)!
}

export type UsageRow = Usage & { project: string }

/** Only the projects that use anything. Jobs hold theirs while a cluster has them, waiting ones hold nothing; volumes hold their size whether somebody uses them or not. */
function usageOfEach(projects: SQL): SQL {
  return sql`
    select project_id as project, count(*)::float8 as sessions, sum(cpu_millis)::float8 as cpu_millis,
      sum(memory_bytes)::float8 as memory_bytes, sum(storage_bytes)::float8 as storage_bytes, 0::float8 as jobs
    from sessions where project_id = any(${projects}) and status in (${holding}) group by project_id
    union all
    select project_id, 0, sum(cpu_millis), sum(memory_bytes), 0, count(*)
    from jobs where project_id = any(${projects}) and status in ('queued', 'running') and cluster_id is not null group by project_id
    union all
    select project_id, 0, 0, 0, coalesce(sum(size_bytes), 0), 0
    from volumes where project_id = any(${projects}) and desired = 'present' group by project_id`
}

const usageRows = keptSql<UsageRow>(usageOfEach(sql`${sql.placeholder('projects')}::text[]`))

/** As JSON, for a statement of several selects; nothing is counted for a project whose sessions are not limited. */
export function usageWhereLimited(project: SQL): SQL {
  return sql`case when (select ${limitedBy(counted)} from projects where id = ${project})
    then ${rowsOf(usageOfEach(sql`array[${project}]`))} else '[]' end`
}

/** Of one project's rows. */
export function sumOf(rows: readonly UsageRow[]): Usage {
  const sum: Usage = { sessions: 0, cpu_millis: 0, memory_bytes: 0, storage_bytes: 0, jobs: 0 }
  for (const { project: _, ...used } of rows)
    for (const [what, amount] of Object.entries(used)) sum[what as keyof Usage] += amount
  return sum
}

/** Also projects that use nothing are in the map. */
export async function usageOfAll(db: Sql, ids: readonly string[]): Promise<Map<string, Usage>> {
  const rows = ids.length === 0 ? [] : await usageRows(db, { projects: textArray(ids) })
  return new Map(ids.map(id => [id, sumOf(rows.filter(({ project }) => project === id))]))
}

/** Exchanges (files, logs, screenshots) are no streams. They change too often to be counted at every create. */
function streamsOfEach(projects: SQL): SQL {
  return sql`
    select project_id as project, count(*)::int as streams from grants
    where project_id = any(${projects}) and closed_at is null and kind not in ('http', 'logs') group by project_id`
}

/** What projects use, as columns of a statement of several selects: `toldOf` reads them. */
export interface UsageColumns {
  used: UsageRow[]
  streams: { project: string; streams: number }[]
}
export function usageColumns(projects: SQL): SQL {
  return sql`${rowsOf(usageOfEach(projects))} as used, ${rowsOf(streamsOfEach(projects))} as streams`
}
const usageTolds = keptSql<UsageColumns>(sql`select ${usageColumns(sql`${sql.placeholder('projects')}::text[]`)}`)

export function toldOf({ used, streams }: UsageColumns, project: string): ToldUsage {
  const open = streams.find(each => each.project === project)
  return { ...sumOf(used.filter(each => each.project === project)), streams: open?.streams ?? 0 }
}

/** With the streams that are open; also projects that use nothing are in the map. */
export async function usageWithStreams(db: Sql, ids: readonly string[]): Promise<Map<string, ToldUsage>> {
  if (ids.length === 0) return new Map()
  const [row] = await usageTolds(db, { projects: textArray(ids) })
  return new Map(ids.map(id => [id, toldOf(row!, id)]))
}

export async function usageTold(db: Sql, project: string): Promise<ToldUsage> {
  return (await usageWithStreams(db, [project])).get(project)!
}

export type ToldUsage = Usage & { streams: number }
