/** What creates of one round become: their rows, with audit and events, in one statement. */
import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { keptSql } from '#db/kept.ts'
import { sessions, type volumes } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { auditRow } from '../audit/record.ts'
import type { PlacementRequest } from '../clusters/placement.ts'
import type { Ctx, TokenActor } from '../context.ts'
import { postgresFault } from '../database-faults.ts'
import { eventRow } from '../events/emit.ts'
import type { Claimed } from '../pools/claim.ts'
import { hasRoom, type Wish } from './place.ts'
import type { Session, SessionCreate } from './schema.ts'
import type { BuiltSpec } from './spec.ts'
import type { SessionRow } from './view.ts'

export interface Asked {
  ctx: Ctx
  actor: TokenActor
  input: SessionCreate
}

export interface Made {
  session: Session
  /** null: it lived already under this name. */
  fresh: { spec: SessionSpec; warm: Claimed | null } | null
}

/** One that has its quota. */
export interface Draft {
  asked: Asked
  built: BuiltSpec
  spec: SessionSpec
  wish: Wish
  volume: typeof volumes.$inferSelect | null
  request: PlacementRequest
  place: { warm: Claimed } | { cold: string } | { queued: string }
}

/** What a cluster gets, and how it stood when it was read. */
export interface Take {
  id: string
  seq: number
  epoch: number
  cold: number
  warm: number
}

/** What it asks of placement. */
export function wishOf({ input, actor }: Asked): Wish {
  return {
    ...(input.cluster ? { cluster: input.cluster } : {}),
    ...(input.selector ? { selector: input.selector } : {}),
    ...(actor.limits?.clusters ? { only: actor.limits.clusters } : {}),
  }
}

/** `now`: the database's clock, epoch ms. */
export function rowOf(
  { asked, built, spec, wish, volume, place }: Omit<Draft, 'request'>,
  freshId: string,
  now: number,
  seq: number,
): SessionRow {
  const { actor, input } = asked
  const at = new Date(now)
  const warm = 'warm' in place ? place.warm : null
  const cluster = warm?.cluster ?? ('cold' in place ? place.cold : null)
  const phases = warm ? ['claimed', ...(warm.ready ? ['running'] : [])] : [cluster ? 'placed' : 'queued']
  return {
    id: warm?.id ?? freshId,
    project_id: actor.project,
    user_id: actor.user,
    created_by: actor.token,
    name: input.name ?? null,
    template_id: input.template,
    cluster_id: cluster,
    placement: wish,
    spec,
    labels: spec.labels,
    volume_id: volume?.id ?? null,
    control: 'shared',
    control_holder: null,
    resources: built.resources as SessionRow['resources'],
    ...built.takes,
    desired: 'running',
    generation: 1,
    change_seq: seq,
    ttl_seconds: built.ttl_seconds,
    idle_timeout_seconds: built.idle_timeout_seconds,
    expires_at: built.ttl_seconds === null ? null : new Date(now + built.ttl_seconds * 1000),
    ending_reason: null,
    status: warm?.ready ? 'running' : cluster ? 'starting' : 'queued',
    status_reason: 'queued' in place ? place.queued : null,
    termination_reason: null,
    phases: phases.map(phase => ({ phase, at: at.toISOString() })),
    display: null,
    // Taking a warm one counts as a touch; its agent has still to apply its late settings.
    touches: warm ? 1 : 0,
    settling: warm !== null,
    observed_generation: warm ? 1 : 0,
    pool_id: warm?.pool ?? null,
    versions: warm?.versions ?? {},
    notes: warm?.notes ?? [],
    pod: warm?.pod ?? null,
    last_activity_at: null,
    created_at: at,
    started_at: warm?.ready ? at : null,
    ended_at: null,
  }
}

/** All but the cluster's number for its change. */
const columns = sql.raw(
  Object.keys(getTableColumns(sessions))
    .filter(name => name !== 'change_seq')
    .map(name => `"${name}"`)
    .join(', '),
)

/** What is written of sessions, with their audit and events; each a list of rows as JSON. */
export const writeSteps = (rows: SQL, audit: SQL, events: SQL, changeSeq: SQL) => sql`made as (
    insert into sessions (change_seq, ${columns})
    select ${changeSeq}, ${columns} from jsonb_populate_recordset(null::sessions, ${rows})
  ), recorded as (
    insert into audit (id, project_id, actor_kind, actor, token_id, action, target, outcome, address, request_id, detail)
    select id, project_id, actor_kind, actor, token_id, action, target, outcome, address, request_id, detail
    from jsonb_populate_recordset(null::audit, ${audit})
  ), told as (
    insert into events (id, project_id, session_id, type, data) select id, project_id, session_id, type, data
    from jsonb_populate_recordset(null::events, ${events})
  )`

const written = keptSql(sql`
  with here as materialized (
    select clusters.id, clusters.seq
    from jsonb_to_recordset(${sql.placeholder('takes')}::jsonb) as t(id text, seq bigint, epoch bigint, cold int, warm int)
    join clusters on clusters.id = t.id
    where case when t.cold = 0 then true when clusters.scheduling <> 'open' then false
      when clusters.seq = t.seq + t.cold + t.warm and clusters.epoch = t.epoch then true else ${hasRoom(sql`t.cold + t.warm`)} end
  ), ${writeSteps(
    sql`${sql.placeholder('rows')}::jsonb`,
    sql`${sql.placeholder('audit')}::jsonb`,
    sql`${sql.placeholder('events')}::jsonb`,
    sql`case when cluster_id is null or not ${sql.placeholder('relative')}::boolean then change_seq
      else change_seq + (select here.seq from here where here.id = cluster_id) end`,
  )} select`)

/** What is told of a new session. */
export const tellingOf = ({ ctx, actor, input }: Asked, session: Session) => ({
  audit: auditRow(ctx, {
    ...{ action: 'session.create', target: session.id, project: actor.project, detail: { template: input.template } },
  }),
  event: eventRow({ type: 'session.created', project: actor.project, session: session.id, data: { session } }),
})

/**
 * One statement, sent at once: either all of it is there, or nothing. `takes`: what clusters, locked by the statement before, get and must have room
 * for (those that stand as they were read have it); the rows' numbers count from their last ones. null: there is room, and the numbers are what they are.
 */
export async function writeRows(
  tx: Tx,
  rows: readonly SessionRow[],
  made: ReadonlyMap<Asked, Made>,
  takes: readonly Take[] | null,
): Promise<void> {
  const told = [...made].map(([asked, { session }]) => tellingOf(asked, session))
  await written(tx, {
    relative: takes !== null,
    takes: JSON.stringify(takes ?? []),
    rows: JSON.stringify(rows),
    audit: JSON.stringify(told.map(({ audit }) => audit)),
    events: JSON.stringify(told.map(({ event }) => event)),
  })
}

/** What `writeRows` throws where there is no room: then there is no number to take. */
export function isRoomGone(error: unknown): boolean {
  const fault = postgresFault(error)
  return fault?.code === '23502' && fault.column_name === 'change_seq'
}
