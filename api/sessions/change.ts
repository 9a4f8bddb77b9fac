/**
 * Verbs that change what should be: stop, start, restart, touch, patch, delete. Each locks the row, asks the lifecycle table, writes
 * desired state with the cluster's next number, an audit row and an event, all in one transaction; the agent is nudged after commit.
 */
import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { clusters, grants, sessions } from '#db/schema.ts'
import type { Display } from '#protocol/session-spec.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, projectWall } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { notFound, Problem } from '../problem.ts'
import { takeQuota } from '../projects/quotas.ts'
import { boundsOf, reaches } from '../tokens/token-limits.ts'
import { takeSeq } from './desired.ts'
import { isFinal, type LifecycleEvent, lifecycle } from './lifecycle.ts'
import { findSession, getSession, sessionForEvent } from './read.ts'
import type { SessionPatch } from './schema.ts'
import type { SessionRow } from './view.ts'

type Change = Partial<{ [K in keyof SessionRow]: SessionRow[K] | ReturnType<typeof sql> }>

/**
 * Locks the session the actor may see; a deleted or foreign one is 404. Locks are always taken in the order project, cluster, session (as
 * reports and creates do), so that no two transactions wait for each other.
 */
export async function lockSession(tx: Tx, ctx: Ctx, id: string): Promise<SessionRow> {
  const wall = projectWall(ctx)
  const [seen] = await tx.select({ cluster_id: sessions.cluster_id }).from(sessions).where(eq(sessions.id, id))
  if (seen?.cluster_id)
    await tx.select({ id: clusters.id }).from(clusters).where(eq(clusters.id, seen.cluster_id)).for('no key update')
  const [row] = await tx.select().from(sessions).where(eq(sessions.id, id)).for('update')
  if (!row || row.desired === 'deleted' || (wall !== null && row.project_id !== wall) || !reaches(ctx.actor, row))
    throw notFound('session')
  if (row.cluster_id !== seen?.cluster_id)
    throw new Problem('conflict', 'The session was being placed at this moment; try again.')
  return row
}

/** Writes a change of desired state and everything that goes with it. */
export async function writeChange(
  tx: Tx,
  ctx: Ctx,
  row: SessionRow,
  change: Change,
  action: string,
  detail?: Record<string, unknown>,
) {
  const seq = row.cluster_id ? { change_seq: await takeSeq(tx, row.cluster_id) } : {}
  await tx
    .update(sessions)
    .set({ ...change, ...seq } as Partial<SessionRow>)
    .where(eq(sessions.id, row.id))
  await recordAudit(tx, ctx, { action, target: row.id, project: row.project_id, ...(detail ? { detail } : {}) })
  const session = await sessionForEvent(tx, row.id, ctx.origin)
  if (session) await emitEvent(tx, { type: 'session.updated', project: row.project_id, session: row.id, data: { session } })
}

/** Nudges the agent and ends streams that the change makes pointless, after commit. */
async function afterChange(ctx: Ctx, row: SessionRow, endStreams: boolean): Promise<void> {
  await ctx.afterCommit(async () => {
    if (row.cluster_id) await ctx.tunnel.nudge(row.cluster_id)
    if (endStreams) await endStreamsOf(ctx, row.id)
  })
}

async function endStreamsOf(ctx: Ctx, session: string): Promise<void> {
  const open = await ctx.db
    .select({ id: grants.id })
    .from(grants)
    .where(and(eq(grants.session_id, session), isNull(grants.closed_at)))
  if (open.length > 0)
    await ctx.tunnel.end(
      open.map(grant => grant.id),
      'target_ended',
      'session ended',
    )
}

const freshGeneration = (row: SessionRow): Change => ({
  desired: 'running',
  generation: row.generation + 1,
  status_reason: null,
  ending_reason: null,
  termination_reason: null,
  ended_at: null,
  started_at: null,
  last_activity_at: null,
  phases: [],
  versions: {},
  notes: [],
  display: null,
  pod: null,
  settling: false,
  touches: row.touches + 1,
  expires_at: row.ttl_seconds === null ? null : sql`clock_timestamp() + make_interval(secs => ${row.ttl_seconds})`,
})

async function ask(ctx: Ctx, id: string, event: Extract<LifecycleEvent, 'stop' | 'start' | 'restart'>) {
  await ctx.db
    .transaction(async tx => {
      // A stopped session holds no quota; to run again it needs its share, and a name that nobody took meanwhile.
      const seen = event === 'stop' ? null : await findSession(ctx, id, tx)
      const revives = seen !== null && isFinal(seen.row.status) && lifecycle[seen.row.status][event] !== 'illegal'
      if (revives) {
        const { project_id, cpu_millis, memory_bytes } = seen.row
        const who = { user: seen.row.user_id, token: seen.row.created_by, limits: boundsOf(ctx.actor) }
        await takeQuota(tx, project_id, { sessions: 1, cpu_millis, memory_bytes, storage_bytes: 0 }, who)
      }
      const row = await lockSession(tx, ctx, id)
      const cell = lifecycle[row.status][event]
      if (isFinal(row.status) && cell === 'starting' && !revives)
        throw new Problem('conflict', 'The session ended at this moment; try again.')
      if (cell === 'illegal') {
        throw new Problem('conflict', `A session that is ${row.status} cannot ${event}; create a new one.`)
      }
      if (cell === 'same') return null
      if (event === 'stop') {
        const ended: Change =
          cell === 'stopped'
            ? { ended_at: sql`clock_timestamp()`, termination_reason: 'requested', status_reason: 'Stopped as requested.' }
            : {}
        await writeChange(
          tx,
          ctx,
          row,
          { status: cell, desired: 'stopped', ending_reason: 'requested', ...ended },
          'session.stop',
        )
        return row
      }
      if (revives) await refuseTakenName(tx, row)
      const status = row.cluster_id ? 'starting' : 'queued'
      await writeChange(tx, ctx, row, { ...freshGeneration(row), status }, `session.${event}`)
      return row
    })
    .then(row => row && afterChange(ctx, row, true))
  return getSession(ctx, id)
}

export const stopSession = (ctx: Ctx, id: string) => ask(ctx, id, 'stop')
export const startSession = (ctx: Ctx, id: string) => ask(ctx, id, 'start')
export const restartSession = (ctx: Ctx, id: string) => ask(ctx, id, 'restart')

async function refuseTakenName(tx: Tx, row: SessionRow): Promise<void> {
  if (row.name === null) return
  const [other] = await tx
    .select({ id: sessions.id })
    .from(sessions)
    .where(
      sql`${sessions.project_id} = ${row.project_id} and ${sessions.user_id} = ${row.user_id} and ${sessions.name} = ${row.name}
        and ${sessions.desired} <> 'deleted' and ${sessions.status} in ('queued','starting','running','stopping') and ${sessions.id} <> ${row.id}`,
    )
  if (other) throw new Problem('conflict', `Another session named ${JSON.stringify(row.name)} lives already: ${other.id}.`)
}

/** Counts as activity and moves the absolute end: from now, by the given or the session's own life. */
export async function touchSession(ctx: Ctx, id: string, input: { ttl_seconds?: number | undefined }) {
  await ctx.db
    .transaction(async tx => {
      const row = await lockSession(tx, ctx, id)
      if (isFinal(row.status)) throw new Problem('conflict', `A session that is ${row.status} cannot be extended.`)
      if (row.status === 'stopping') throw new Problem('conflict', 'The session is already ending.')
      const ttl = input.ttl_seconds ?? row.ttl_seconds
      const change: Change = {
        touches: row.touches + 1,
        last_activity_at: sql`clock_timestamp()`,
        ...(ttl === null ? {} : { expires_at: sql`clock_timestamp() + make_interval(secs => ${ttl})` }),
      }
      await writeChange(tx, ctx, row, change, 'session.touch')
      return row
    })
    .then(row => afterChange(ctx, row, false))
  return getSession(ctx, id)
}

/** `shown`: what its display was just made; a next start begins with it. */
export async function patchSession(ctx: Ctx, id: string, input: Omit<SessionPatch, 'display'>, shown?: Display) {
  await ctx.db
    .transaction(async tx => {
      const row = await lockSession(tx, ctx, id)
      const change: Change = {}
      if (input.name !== undefined) change.name = input.name
      if (input.labels !== undefined) change.labels = input.labels
      if (input.idle_timeout_seconds !== undefined) change.idle_timeout_seconds = input.idle_timeout_seconds
      if (input.ttl_seconds !== undefined) {
        change.ttl_seconds = input.ttl_seconds
        change.expires_at =
          input.ttl_seconds === null ? null : sql`clock_timestamp() + make_interval(secs => ${input.ttl_seconds})`
      }
      if (shown) Object.assign(change, { display: shown, spec: { ...row.spec, display: shown } } satisfies Change)
      if (Object.keys(change).length === 0) return null
      if (isFinal(row.status) && (input.ttl_seconds !== undefined || input.idle_timeout_seconds !== undefined)) {
        throw new Problem('conflict', `A session that is ${row.status} has no deadlines to change.`)
      }
      if (input.name && !isFinal(row.status)) await refuseTakenName(tx, { ...row, name: input.name })
      await writeChange(tx, ctx, row, change, 'session.update', { fields: Object.keys(change).filter(name => name !== 'spec') })
      return row
    })
    .then(row => row && afterChange(ctx, row, false))
  return getSession(ctx, id)
}

/** Legal from every state and always wins. The row stays as a tombstone until the agent has reported everything gone. */
export async function deleteSession(ctx: Ctx, id: string): Promise<void> {
  await ctx.db
    .transaction(async tx => {
      const row = await lockSession(tx, ctx, id)
      const view = await sessionForEvent(tx, row.id, ctx.origin)
      await recordAudit(tx, ctx, { action: 'session.delete', target: row.id, project: row.project_id })
      await emitEvent(tx, { type: 'session.deleted', project: row.project_id, session: row.id, data: { session: view } })
      if (row.cluster_id && (await clusterExists(tx, row.cluster_id))) {
        const seq = await takeSeq(tx, row.cluster_id)
        const live = !isFinal(row.status)
        await tx
          .update(sessions)
          .set({
            desired: 'deleted',
            change_seq: seq,
            ...(live ? { status: 'stopping' as const, ending_reason: 'requested' as const } : {}),
          })
          .where(eq(sessions.id, row.id))
      } else {
        await tx.delete(sessions).where(eq(sessions.id, row.id))
      }
      return row
    })
    .then(row => afterChange(ctx, row, true))
}

async function clusterExists(tx: Tx, cluster: string): Promise<boolean> {
  const [row] = await tx.select({ id: clusters.id }).from(clusters).where(eq(clusters.id, cluster))
  return row !== undefined
}
