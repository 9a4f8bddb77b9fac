/** What creates of one round must know: the project's lock, and behind it one statement that reads everything of one moment. */
import { type SQL, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { keptSql, rowsOf } from '#db/kept.ts'
import { textArray } from '#db/together.ts'
import { warmFits } from '../pools/claim.ts'
import { areUnlimited, lockProject, Room, sumOf, type UsageRow, usageWhereLimited } from '../projects/quotas.ts'
import type { TemplateBody } from '../templates/schema.ts'
import { templatesOf } from '../templates/service.ts'
import type { Asked } from './create-rows.ts'
import { candidatesOf, type Wish, wishesWaiting } from './place.ts'
import type { CountedCluster, RoomsSeen } from './rooms-seen.ts'

export interface Known {
  room: Room
  /** The project's sessions need not be counted. */
  unlimited: boolean
  templates: ReadonlyMap<string, TemplateBody>
  clusters: CountedCluster[]
  /** Wishes, as JSON, for which others wait already. */
  waiting: Set<string>
  /** The id of what lives already, by `nameKey`. */
  living: ReadonlyMap<string, string>
  /** What there is of warm ones, whoever may have them. */
  warmFits: ReadonlySet<string>
  /** The database's clock, epoch ms. */
  now: number
  /** Sessions in the queue. */
  queued: number
}

/** Both statements are sent at once, in this order. */
export async function readKnown(
  tx: Tx,
  project: string,
  asked: readonly Asked[],
  wishes: readonly Wish[],
  rooms: RoomsSeen,
): Promise<Known> {
  const names = asked.flatMap(({ actor, input }) => (input.name ? [{ user: actor.user, name: input.name }] : []))
  const [quotas, [read]] = await Promise.all([
    lockProject(tx, project),
    readAll(tx, {
      project,
      templates: textArray([...new Set(asked.map(({ input }) => input.template))]),
      wishes: JSON.stringify([...new Set(wishes.map(wish => JSON.stringify(wish)))]),
      names: JSON.stringify(names),
      seen: JSON.stringify(rooms.roomy(asked.length)),
    }),
  ])
  const { usage, templates, clusters, waiting, living, warm, now, queued } = read!
  rooms.read(clusters)
  return {
    room: new Room(tx, project, quotas, sumOf(usage)),
    unlimited: areUnlimited(quotas),
    templates: new Map(templates.map(({ id, body }) => [id, body])),
    clusters,
    waiting: new Set(waiting.map(({ wish }) => wish)),
    living: new Map(living.map(({ id, user, name }) => [nameKey(user, name), id])),
    warmFits: new Set(warm.map(({ fit }) => fit)),
    ...{ now, queued },
  }
}

export const nameKey = (user: string, name: string) => JSON.stringify([user, name])

const project = sql`${sql.placeholder('project')}::text`
const templates = sql`${sql.placeholder('templates')}::text[]`
const wishes = sql`${sql.placeholder('wishes')}::jsonb`
const names = sql`${sql.placeholder('names')}::jsonb`
const seen = sql`${sql.placeholder('seen')}::jsonb`

const lives = sql`s.desired <> 'deleted' and s.status in ('queued', 'starting', 'running', 'stopping')`
const livingByName = sql`
  select s.id, s.user_id as "user", s.name from jsonb_to_recordset(${names}) as w("user" text, name text)
  join sessions s on s.project_id = ${project} and s.user_id = w."user" and s.name = w.name where ${lives}`

/** The living session of that name. */
export const livingOf = (project: SQL, user: SQL, name: SQL) => sql`
  select s.id from sessions s where s.project_id = ${project} and s.user_id = ${user} and s.name = ${name} and ${lives}`

const readAll = keptSql<{
  usage: UsageRow[]
  templates: { id: string; body: TemplateBody }[]
  clusters: CountedCluster[]
  waiting: { wish: string }[]
  living: { id: string; user: string; name: string }[]
  warm: { fit: string }[]
  now: number
  queued: number
}>(sql`
  select ${usageWhereLimited(project)} as usage, ${rowsOf(templatesOf(project, templates))} as templates,
    ${rowsOf(candidatesOf(project, seen))} as clusters, ${rowsOf(wishesWaiting(project, wishes))} as waiting,
    ${rowsOf(livingByName)} as living, ${rowsOf(warmFits)} as warm,
    (extract(epoch from clock_timestamp()) * 1000)::float8 as now,
    (select count(*)::int from sessions where status = 'queued' and desired = 'running') as queued`)
