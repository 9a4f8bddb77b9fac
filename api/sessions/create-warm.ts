/**
 * A warm create in one statement, where the last one of its template came warm, as it was asked for, and nothing had to be counted for it: it takes the
 * rate, looks whether all is still as it was then, claims, and writes the session with its audit and event. What only the claim knows is put in by the
 * database. Where anything is otherwise nothing is written, and the create goes the long way. Locks: the rate's row, project, warm session, cluster; it
 * does not wait for a project that somebody holds, for that may be a create that waits for its rate.
 */
import { sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { keptSql } from '#db/kept.ts'
import { isUniqueViolation } from '../database-faults.ts'
import { newId } from '../ids.ts'
import { noRate, type RateFound, rateFound, rateSteps } from '../limits/gcra.ts'
import { type Claimed, claimedColumns, claimValues, sameSteps } from '../pools/claim.ts'
import { isUnlimited } from '../projects/quotas.ts'
import { templateBody } from '../templates/service.ts'
import { likeness, type WarmHints } from './claims.ts'
import { livingOf } from './create-reads.ts'
import { type Asked, type Made, rowOf, tellingOf, wishOf, writeSteps } from './create-rows.ts'
import { isoOf, phasesAt } from './place.ts'
import type { RoomsSeen } from './rooms-seen.ts'
import { sessionView } from './view.ts'

/** Whether it can come that way, as far as is known here. */
export function mayComeAtOnce({ actor, input }: Asked, hints: WarmHints): boolean {
  const hint = hints.of(actor.project, input.template)
  return hint?.unlimited === true && hint.same === likeness(input) && actor.limits?.max_sessions === undefined && !input.volume
}

/** null: it has to go the long way. */
export async function createWarm(db: Sql, asked: Asked, hints: WarmHints, rooms: RoomsSeen): Promise<Made | null> {
  const { ctx, actor, input } = asked
  const { project } = actor
  if (!mayComeAtOnce(asked, hints)) return null
  const wish = wishOf(asked)
  const want = hints.want(actor, input, wish)
  if (!want) return null
  const { hint, built, spec } = want
  const viewed = (warm: Claimed, now: number, seq: number) => {
    const row = rowOf({ asked, built, spec, wish, volume: null, place: { warm } }, warm.id, now, seq)
    return { row, session: sessionView(row, { online: true, position: null, origin: ctx.origin }) }
  }
  const stub = newId('ses')
  const unknown: Claimed = { id: stub, pool: null, cluster: '', ready: true, same: true, versions: {}, notes: [], pod: null }
  const { row, session } = viewed(unknown, 0, 0)
  const values = {
    ...claimValues({ project, spec, placement: wish }, 1),
    ...{ stub, draft: JSON.stringify({ row, ...tellingOf(asked, session) }) },
    ...{ template: input.template, body: JSON.stringify(hint.body) },
    ...{ user: actor.user, name: input.name ?? null, ttl: built.ttl_seconds, idle: built.idle_timeout_seconds },
  }
  const write = async (rate: object) => (await writing(db, { ...values, ...rate }))[0]!
  const found = await (ctx.rate ? ctx.rate.by(write) : write(noRate)).catch(error => {
    // A create of that name was quicker.
    if (isUniqueViolation(error, 'sessions_live_name')) return null
    throw error
  })
  await ctx.rate?.admitted()
  if (!found?.claimed) {
    hints.note(project, input.template, null)
    return null
  }
  const { claimed, now, seq } = found
  rooms.placed(claimed.cluster, seq - 1, { cold: 0, warm: 1 })
  return { session: viewed(claimed, now, seq).session, fresh: { spec, warm: claimed } }
}

interface Found extends RateFound {
  claimed: Claimed | null
  /** The number that its cluster took for it. */
  seq: number
  /** The database's clock, epoch ms. */
  now: number
}

const [project, template, body] = [
  sql`${sql.placeholder('project')}::text`,
  sql`${sql.placeholder('template')}::text`,
  sql`${sql.placeholder('body')}::jsonb`,
]
const [at, draft] = [
  sql`moment.at`,
  sql`replace(${sql.placeholder('draft')}::text, ${sql.placeholder('stub')}::text, claimed.id)::jsonb`,
]
const after = (seconds: string) => sql`${at} + make_interval(secs => ${sql.placeholder(seconds)}::float8)`

/** What of a draft only the claim knows, beside the id: of the row, and of the session as it is told. */
const late = {
  row: sql`jsonb_build_object('cluster_id', cluster, 'pool_id', pool, 'versions', versions, 'notes', notes, 'pod', pod,
    'phases', ${phasesAt(at, 'claimed', 'running')}, 'created_at', ${at}, 'started_at', ${at}, 'expires_at', ${after('ttl')})`,
  session: sql`jsonb_build_object('cluster', cluster, 'pool', pool, 'versions', versions, 'notes', notes, 'pod', pod,
    'phases', ${phasesAt(at, 'claimed', 'running')}, 'created_at', ${isoOf(at)}, 'started_at', ${isoOf(at)},
    'expires_at', ${isoOf(after('ttl'))}, 'idle_expires_at', ${isoOf(after('idle'))})`,
}

const writing = keptSql<Found>(sql`
  with ${rateSteps}, moment as materialized (select date_trunc('milliseconds', at) as at from clock),
  same as materialized (
    select id from projects where id = ${project} and ${isUnlimited} and (${sql.placeholder('rate_key')}::text is null or exists (select from rate))
      and ${templateBody(project, template)} = ${body}
      and not exists (${livingOf(project, sql`${sql.placeholder('user')}::text`, sql`${sql.placeholder('name')}::text`)})
    for key share skip locked
  ), ${sameSteps(sql`exists (select from same)`)},
  claimed as (select ${claimedColumns} from taken),
  numbered as (update clusters set seq = clusters.seq + 1 from claimed where clusters.id = claimed.cluster returning clusters.seq),
  written as materialized (
    select draft, (draft -> 'row') || late_row as row, (draft #> '{event,data,session}') || late_session as session
    from (select ${draft} as draft, ${late.row} as late_row, ${late.session} as late_session from claimed, numbered, moment offset 0) drafted
  ), ${writeSteps(
    sql`(select jsonb_build_array(row) from written)`,
    sql`(select jsonb_build_array(draft -> 'audit') from written)`,
    sql`(select jsonb_build_array(jsonb_set(draft -> 'event', '{data,session}', session)) from written)`,
    sql`(select seq from numbered)`,
  )}
  select rate_taken, rate_ahead_ms, (select to_json(claimed) from claimed) as claimed, (select seq::float8 from numbered) as seq,
    round(extract(epoch from at) * 1000)::float8 as now
  from moment left join (${rateFound}) rated on true`)
