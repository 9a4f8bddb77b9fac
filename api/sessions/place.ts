/**
 * Finds a cluster for a session and puts it there. The choice itself is pure (clusters/placement.ts); here it is made true under races: the
 * chosen cluster's row is locked (by taking its next numbers) and its room counted again before the session is written there.
 */
import { and, eq, type SQL, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { keptSql } from '#db/kept.ts'
import { clusters, sessions, volumes } from '#db/schema.ts'
import { textArray } from '#db/together.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { type Candidate, couldServe, type PlacementRequest, place } from '../clusters/placement.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { giveWay } from '../pools/retire.ts'
import { bindVolume } from '../volumes/service.ts'
import { clusterOnline, sessionForEvent } from './read.ts'

const liveHere = sql<number>`(select count(*)::int from sessions s where s.cluster_id = ${clusters}.id
  and s.status in ('starting','running','stopping'))`

const warmHere = sql<number>`(select count(*)::int from warm_sessions w where w.cluster_id = ${clusters}.id and w.desired = 'running')`

/** What was asked of placement, as the row keeps it. */
export type Wish = { cluster?: string; selector?: Record<string, string>; only?: string[] }

/** Those of the wishes (a JSON list of their JSON texts) for which others of the project wait already; a newcomer goes behind them. */
export const wishesWaiting = (project: SQL, wishes: SQL) => sql`
  select wish from jsonb_array_elements_text(${wishes}) wish where exists (select 1 from sessions q where q.status = 'queued'
    and q.desired = 'running' and q.project_id = ${project} and q.placement = wish::jsonb)`

/** Clusters that the project may use, with what they hold now. `seen` (a JSON list of `Seen`): where that still stands nothing is counted. */
export const candidatesOf = (project: SQL, seen: SQL) => sql`
  select ${clusters.id}, ${clusters.name}, ${clusters.labels}, ${clusters.scheduling}, ${clusters.capabilities}, ${clusters.seq},
    ${clusters.epoch}, ${clusterOnline} as online, coalesce(seen.sessions, ${liveHere}) as sessions,
    coalesce(seen.warm, ${warmHere}) as warm, seen.id is null as counted
  from ${clusters} left join jsonb_to_recordset(${seen}) as seen(id text, seq bigint, epoch bigint, sessions int, warm int)
    on seen.id = ${clusters.id} and seen.seq = ${clusters.seq} and seen.epoch = ${clusters.epoch}
  where ${clusters.project_id} is null or ${clusters.project_id} = ${project} order by ${clusters.id}`

const candidatesFor = keptSql<Candidate>(candidatesOf(sql`${sql.placeholder('project')}`, sql`'[]'::jsonb`))

export const candidates = (db: Sql, project: string): Promise<Candidate[]> => candidatesFor(db, { project })

/** `volumeAt`: the cluster that holds its volume already. */
export function placementRequest(spec: SessionSpec, wish: Wish, volumeAt: string | null | undefined): PlacementRequest {
  const features = [
    ...(spec.headless ? [] : ['display']),
    ...(spec.volume ? ['volumes'] : []),
    ...(spec.recording ? ['recording'] : []),
  ]
  return {
    ...wish,
    ...(volumeAt ? { volumeAt } : {}),
    kind: spec.kind,
    ...(spec.kind === 'browser' ? { browser: spec.browser ?? 'chromium' } : {}),
    features,
    limits: spec.limits,
  }
}

/** Timeline entries with the database's clock. */
export const phaseNow = (...phases: string[]) => phasesAt(sql`clock_timestamp()`, ...phases)

export function phasesAt(at: SQL, ...phases: string[]) {
  const entries = phases.map(phase => sql`jsonb_build_object('phase', ${phase}::text, 'at', ${isoOf(at)})`)
  return sql<{ phase: string; at: string }[]>`jsonb_build_array(${sql.join(entries, sql`, `)})`
}

/** As our JSON says times. */
export const isoOf = (at: SQL) => sql`to_char((${at}) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** `waitsFor`: the clusters whose room would do. */
export type Placed = { cluster: string; seq: number } | { queued: string; waitsFor: string[] } | { never: string }

/**
 * Locks the chosen cluster; a lost race looks again, a few times, then waits in the queue. `promised`: whoever asks stands behind others who wait
 * for these.
 */
async function claimCluster(tx: Tx, project: string, request: PlacementRequest, promised: ReadonlySet<string>): Promise<Placed> {
  let waitsFor: string[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const known = (await candidates(tx, project)).map(each => ({ ...each, promised: promised.has(each.id) }))
    const choice = place(known, request)
    if ('never' in choice) return choice
    waitsFor = couldServe(known, request)
    if ('queue' in choice) return { queued: choice.queue, waitsFor }
    const [held] = await holdClusters(tx, new Map([[choice.cluster, { cold: 1, warm: 0 }]]))
    if (held && held.room > 0) return { cluster: choice.cluster, seq: held.seq }
  }
  return { queued: everyClusterFull, waitsFor }
}

export const everyClusterFull = 'Every cluster that could serve it is full.'

/** The cluster of this row (`clusters`) takes `more` beside all that it holds, warm ones included. */
export const hasRoom = (more: SQL) => sql`coalesce((${clusters.capabilities} -> 'capacity' ->> 'sessions')::int, 0)
  >= ${more} + ${liveHere} + ${warmHere}`

/** Locks clusters, in the order in which everybody does, and takes a number for each change. */
export async function takeNumbers(tx: Tx, takes: readonly { id: string; cold: number; warm: number }[]): Promise<void> {
  await numbersTaken(tx, { takes: JSON.stringify(takes.map(({ id, cold, warm }) => ({ id, n: cold + warm }))) })
}

const numbersTaken = keptSql(sql`
  update clusters set seq = clusters.seq + taken.n from (
    select c.id, t.n from jsonb_to_recordset(${sql.placeholder('takes')}::jsonb) as t(id text, n int) join clusters c on c.id = t.id
    order by c.id for update of c) taken
  where clusters.id = taken.id`)

/** A cluster whose row is locked until the transaction ends. */
export interface Held {
  id: string
  /** The first of the numbers taken for its changes. */
  seq: number
  /** How many of the `cold` have room there; warm ones that stood in their way are told to go. */
  room: number
}

/** Locks clusters, in the order in which everybody does, takes a number for each change, and counts their room again: now it is true. */
export async function holdClusters(tx: Tx, changes: ReadonlyMap<string, { cold: number; warm: number }>): Promise<Held[]> {
  const ids = [...changes.keys()].sort()
  // Sent together, done in the order of sending; without `execute` the locks would be sent only when they are waited for, after the count.
  const locked = ids.map(id => {
    const { cold, warm } = changes.get(id)!
    return tx
      .execute<{ id: string; seq: number; capabilities: Candidate['capabilities']; scheduling: string }>(sql`
        update clusters set seq = seq + ${cold + warm}::int where id = ${id}
        returning id, (seq - ${cold + warm}::int + 1)::float8 as seq, capabilities, scheduling`)
      .execute()
  })
  const counted = tx
    .select({ id: clusters.id, sessions: liveHere, warm: warmHere })
    .from(clusters)
    .where(sql`${clusters.id} = any(${textArray(ids)}::text[])`)
  const [rows, counts] = await Promise.all([Promise.all(locked), counted.execute()])
  const held: Held[] = []
  for (const [row] of rows) {
    const here = row && counts.find(({ id }) => id === row.id)
    if (!here) continue
    const { cold } = changes.get(row.id)!
    const capacity = row.scheduling === 'open' ? (row.capabilities?.capacity.sessions ?? 0) : 0
    const room = Math.max(0, Math.min(cold, capacity - here.sessions))
    if (room > 0) await giveWay(tx, row.id, here.sessions + room + here.warm - capacity)
    held.push({ id: row.id, seq: row.seq, room })
  }
  return held
}

/**
 * Gives queued sessions their place, oldest first, but fairly: projects take turns, the one with the fewest live sessions first. Room that appears
 * while this looks is for whoever was looked at before; the next look finds it. Answers the clusters that got something. Safe to run on every
 * replica at once: they wait for each other at each session, so that none goes past one that is just being placed.
 */
export async function placeQueued(ctx: Pick<Ctx, 'db' | 'origin'>, limit = 20): Promise<string[]> {
  const waiting = await ctx.db.execute<{ id: string }>(sql`
    select id from (
      select s.id, s.created_at,
        row_number() over (partition by s.project_id order by s.created_at, s.id)
          + (select count(*) from sessions l where l.project_id = s.project_id and l.status in ('starting','running','stopping')) as turn
      from sessions s where s.status = 'queued' and s.desired = 'running') q
    order by turn, created_at, id limit ${limit}`)
  const served = new Set<string>()
  const promised = new Set<string>()
  for (const { id } of waiting) {
    const cluster = await ctx.db.transaction(async tx => {
      const [row] = await tx
        .select()
        .from(sessions)
        .where(and(eq(sessions.id, id), eq(sessions.status, 'queued'), eq(sessions.desired, 'running')))
        .for('update')
      if (!row) return null
      const placed = await claimCluster(
        tx,
        row.project_id,
        placementRequest(row.spec, row.placement, await volumeAt(tx, row.volume_id)),
        promised,
      )
      if (!('cluster' in placed)) {
        if ('queued' in placed) for (const each of placed.waitsFor) promised.add(each)
        const reason = 'queued' in placed ? placed.queued : placed.never
        if (reason !== row.status_reason) await tx.update(sessions).set({ status_reason: reason }).where(eq(sessions.id, id))
        return null
      }
      if (row.volume_id) await bindVolume(tx, row.volume_id, placed.cluster)
      await tx
        .update(sessions)
        .set({
          status: 'starting',
          status_reason: null,
          cluster_id: placed.cluster,
          change_seq: placed.seq,
          phases: sql`${sessions.phases} || ${phaseNow('placed')}`,
        })
        .where(eq(sessions.id, id))
      const session = await sessionForEvent(tx, id, ctx.origin)
      await emitEvent(tx, { type: 'session.updated', project: row.project_id, session: id, data: { session } })
      return placed.cluster
    })
    if (cluster) served.add(cluster)
  }
  return [...served]
}

async function volumeAt(tx: Tx, volume: string | null): Promise<string | null> {
  if (!volume) return null
  const [row] = await tx.select({ cluster: volumes.cluster_id }).from(volumes).where(eq(volumes.id, volume))
  return row?.cluster ?? null
}
