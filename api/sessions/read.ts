/** Reading sessions: always behind the project wall, never a deleted one. */
import { and, desc, eq, inArray, ne, type SQL, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { jsonRow } from '#db/json-row.ts'
import { kept } from '#db/kept.ts'
import { clusters, type SessionStatus, sessions } from '#db/schema.ts'
import { gathered, textArray } from '#db/together.ts'
import { linkTiming } from '#protocol/link-messages.ts'
import { type Ctx, projectWall } from '../context.ts'
import { afterLast, type PageQuery, page, readCursor } from '../paging.ts'
import { invalid, notFound } from '../problem.ts'
import { reaches, withinBounds } from '../tokens/token-limits.ts'
import { finalStatuses, liveStatuses, sessionStatuses } from './lifecycle.ts'
import type { SessionFilters } from './schema.ts'
import { type SessionRow, sessionView } from './view.ts'

/** A cluster has a live link: one wording for every query. */
export const clusterOnline = sql<boolean>`coalesce(${clusters.link_replica_id} is not null
  and ${clusters.link_seen_at} > clock_timestamp() - make_interval(secs => ${linkTiming.offline / 1000}), false)`

/** Sessions before it in the queue of the whole installation, and itself. */
const queuePosition = sql<number | null>`case when ${sessions.status} = 'queued' then (
  select count(*)::int from sessions q where q.status = 'queued' and q.desired = 'running'
  and (q.created_at, q.id) <= (${sessions}.created_at, ${sessions}.id)) end`

const shape = { row: jsonRow(sessions), online: clusterOnline, position: queuePosition }
type Joined = { row: SessionRow; online: boolean | null; position: number | null }

function select(db: Sql) {
  return db.select(shape).from(sessions).leftJoin(clusters, eq(clusters.id, sessions.cluster_id))
}

export function viewOf(joined: Joined, origin: string) {
  return sessionView(joined.row, { online: joined.online === true, position: joined.position, origin })
}

/**
 * The one read of every request about a session, put together once. Without the place in the queue: Postgres guesses ten sessions for a list it
 * does not see, takes ten counts to be dear, and would plan the statement anew each time, which costs it twice what the reading does.
 */
const sessionsById = kept(db =>
  db
    .select({ row: jsonRow(sessions), online: clusterOnline })
    .from(sessions)
    .leftJoin(clusters, eq(clusters.id, sessions.cluster_id))
    .where(and(sql`${sessions.id} = any(${sql.placeholder('ids')}::text[])`, ne(sessions.desired, 'deleted')))
    .prepare('sessions_by_id'),
)
const positionsById = kept(db =>
  db
    .select({ id: sessions.id, position: queuePosition })
    .from(sessions)
    .where(sql`${sessions.id} = any(${sql.placeholder('ids')}::text[])`)
    .prepare('positions_by_id'),
)

/** Whoever may see them: walls are for each question, see `findSession`. */
const sessionById = gathered<Joined>(async (db, ids) => {
  const rows = await sessionsById(db).execute({ ids: textArray(ids) })
  const queued = rows.filter(({ row }) => row.status === 'queued').map(({ row }) => row.id)
  const places = queued.length === 0 ? [] : await positionsById(db).execute({ ids: textArray(queued) })
  const placeOf = new Map(places.map(({ id, position }) => [id, position]))
  return new Map(rows.map(found => [found.row.id, { ...found, position: placeOf.get(found.row.id) ?? null }]))
})

const sessionOfEvent = kept(db =>
  select(db)
    .where(eq(sessions.id, sql.placeholder('id')))
    .limit(1)
    .prepare('session_of_event'),
)

export async function findSession(ctx: Ctx, id: string, db: Sql = ctx.db): Promise<Joined> {
  const wall = projectWall(ctx)
  const found = await sessionById(db, id)
  if (!found || (wall !== null && found.row.project_id !== wall) || !reaches(ctx.actor, found.row)) throw notFound('session')
  return found
}

export async function getSession(ctx: Ctx, id: string) {
  return viewOf(await findSession(ctx, id), ctx.origin)
}

/** As an event tells it: read inside the transaction of the change. */
export async function sessionForEvent(db: Sql, id: string, origin: string) {
  const [found] = await sessionOfEvent(db).execute({ id })
  return found ? viewOf(found, origin) : null
}

const { placeholder } = sql
/** What a list may be asked for, by the names of the values. */
const filters = {
  wall: eq(sessions.project_id, placeholder('wall')),
  project: eq(sessions.project_id, placeholder('project')),
  cluster: sql`${placeholder('cluster')} in (${clusters.id}, ${clusters.name})`,
  template: eq(sessions.template_id, placeholder('template')),
  user: eq(sessions.user_id, placeholder('user')),
  name: eq(sessions.name, placeholder('name')),
  labels: sql`${sessions.labels} @> ${placeholder('labels')}::jsonb`,
  after: afterLast(placeholder('at'), placeholder('after'), sessions.created_at, sessions.id),
}
type FilterName = keyof typeof filters

function listOf(db: Sql, names: readonly FilterName[], also?: SQL) {
  return select(db)
    .where(and(ne(sessions.desired, 'deleted'), ...names.map(name => filters[name]), also))
    .orderBy(desc(sessions.created_at), desc(sessions.id))
    .limit(placeholder('limit'))
    .prepare('sessions_list')
}
/** Put together once for each choice of filters. */
const keptLists = new Map<string, (db: Sql) => ReturnType<typeof listOf>>()
function keptListOf(names: readonly FilterName[]) {
  const key = names.join()
  const list = keptLists.get(key) ?? kept(db => listOf(db, names))
  keptLists.set(key, list)
  return list
}

export async function listSessions(ctx: Ctx, query: PageQuery & SessionFilters) {
  const wall = projectWall(ctx)
  if (query.project && wall !== null && query.project !== wall) return page([], query.limit, () => null as never)
  const last = readCursor(query.cursor)
  const { project, cluster, template, user, name } = query
  const labels = query.labels && JSON.stringify(labelFilter(query.labels))
  const values = { wall, project, cluster, template, user, name, labels, after: last?.id }
  const names = (Object.keys(filters) as FilterName[]).filter(each => values[each])
  const also = and(withinBounds(ctx.actor), query.status ? statusFilter(query.status) : undefined)
  const list = also ? listOf(ctx.db, names, also) : keptListOf(names)(ctx.db)
  const rows = await list.execute({ ...values, at: last?.at.toISOString(), limit: query.limit + 1 })
  const flat = rows.map(joined => ({ ...joined, created_at: joined.row.created_at, id: joined.row.id }))
  return page(flat, query.limit, joined => viewOf(joined, ctx.origin))
}

function statusFilter(given: string): SQL | undefined {
  const wanted = new Set<SessionStatus>()
  let unreachable = false
  for (const part of given.split(',').map(word => word.trim())) {
    if (part === 'active') for (const status of liveStatuses) wanted.add(status)
    else if (part === 'ended') for (const status of finalStatuses) wanted.add(status)
    else if (part === 'unreachable') unreachable = true
    else if ((sessionStatuses as string[]).includes(part)) wanted.add(part as SessionStatus)
    else
      throw invalid(
        '?status',
        `Unknown status ${JSON.stringify(part.slice(0, 40))}: ${[...sessionStatuses, 'unreachable', 'active', 'ended'].join(', ')}.`,
      )
  }
  if (unreachable) for (const status of ['starting', 'running', 'stopping'] as const) wanted.add(status)
  const inSet = inArray(sessions.status, [...wanted])
  return unreachable && wanted.size === 3 ? and(inSet, sql`not ${clusterOnline}`) : inSet
}

export function labelFilter(given: string): Record<string, string> {
  return Object.fromEntries(
    given.split(',').map(pair => {
      const at = pair.indexOf('=')
      if (at < 1) throw invalid('?labels', 'Labels are given as key=value, comma separated.')
      return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
    }),
  )
}
