/**
 * Finds a cluster for a session and puts it there. The choice itself is pure (clusters/placement.ts); here it is made true under races: the
 * chosen cluster's row is locked (by taking its next number) and its room counted again before the session is written there.
 */
import { and, asc, eq, isNull, or, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { clusters, sessions, volumes } from '#db/schema.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { type Candidate, couldServe, type PlacementRequest, place } from '../clusters/placement.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { giveWay } from '../pools/retire.ts'
import { bindVolume } from '../volumes/service.ts'
import { takeSeq } from './desired.ts'
import { clusterOnline, sessionForEvent } from './read.ts'

const liveHere = sql<number>`(select count(*)::int from sessions s where s.cluster_id = ${clusters}.id
  and s.status in ('starting','running','stopping'))`

const warmHere = sql<number>`(select count(*)::int from warm_sessions w where w.cluster_id = ${clusters}.id and w.desired = 'running')`

/** What was asked of placement, as the row keeps it. */
type Wish = { cluster?: string; selector?: Record<string, string>; only?: string[] }

/** Whether others of the project wait for the same already; a newcomer goes behind them. */
const othersWait = (project: string, wish: Wish) => sql<boolean>`exists (select 1 from sessions q where q.status = 'queued'
  and q.desired = 'running' and q.project_id = ${project} and q.placement = ${JSON.stringify(wish)}::jsonb)`

/** Clusters that the project may use, with what they hold now. */
async function candidates(db: Sql, project: string, line: Line): Promise<Candidate[]> {
  const rows = await db
    .select({
      cluster: clusters,
      online: clusterOnline,
      sessions: liveHere,
      behind: 'behind' in line ? othersWait(project, line.behind) : sql<boolean>`false`,
    })
    .from(clusters)
    .where(or(isNull(clusters.project_id), eq(clusters.project_id, project)))
    .orderBy(asc(clusters.id))
  return rows.map(({ cluster, online, sessions, behind }) => ({
    id: cluster.id,
    name: cluster.name,
    labels: cluster.labels,
    scheduling: cluster.scheduling,
    online: online === true,
    capabilities: cluster.capabilities,
    sessions,
    promised: 'behind' in line ? behind : line.promised.has(cluster.id),
  }))
}

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
export function phaseNow(...phases: string[]) {
  const entries = phases.map(
    phase => sql`jsonb_build_object('phase', ${phase}::text,
    'at', to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))`,
  )
  return sql<{ phase: string; at: string }[]>`jsonb_build_array(${sql.join(entries, sql`, `)})`
}

/** `waitsFor`: the clusters whose room would do. */
export type Placed = { cluster: string; seq: number } | { queued: string; waitsFor: string[] } | { never: string }

/** Where whoever asks stands: a newcomer behind all who wait for the same, one who waits behind those that were looked at before. */
export type Line = { behind: Wish } | { promised: ReadonlySet<string> }

/** Locks the chosen cluster; a lost race looks again, a few times, then waits in the queue. */
export async function claimCluster(tx: Tx, project: string, request: PlacementRequest, line: Line): Promise<Placed> {
  let waitsFor: string[] = []
  for (let attempt = 0; attempt < 3; attempt++) {
    const known = await candidates(tx, project, line)
    const choice = place(known, request)
    if ('never' in choice) return choice
    waitsFor = couldServe(known, request)
    if ('queue' in choice) return { queued: choice.queue, waitsFor }
    const seq = await takeSeq(tx, choice.cluster)
    const [here] = await tx
      .select({ sessions: liveHere, warm: warmHere, capabilities: clusters.capabilities, scheduling: clusters.scheduling })
      .from(clusters)
      .where(eq(clusters.id, choice.cluster))
    const room = here?.capabilities?.capacity.sessions ?? 0
    if (here && here.scheduling === 'open' && here.sessions < room) {
      await giveWay(tx, choice.cluster, here.sessions + 1 + here.warm - room)
      return { cluster: choice.cluster, seq }
    }
  }
  return { queued: 'Every cluster that could serve it is full.', waitsFor }
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
        { promised },
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
