/** What a cluster's sessions meet when it is emptied, or removed although they live. Both inside the transaction of the cluster's change. */
import { and, eq, inArray, isNull, ne, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { grants, sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { Problem } from '../problem.ts'
import { writeChange } from '../sessions/change.ts'
import { lifecycle, liveStatuses, movedBy } from '../sessions/lifecycle.ts'
import { sessionForEvent } from '../sessions/read.ts'
import type { ClusterRow } from './view.ts'

/** Asks every session there to stop, keeping files; answers the streams to end after commit. */
export async function drainSessions(tx: Tx, ctx: Ctx, cluster: ClusterRow): Promise<string[]> {
  const rows = await tx
    .select()
    .from(sessions)
    .where(and(eq(sessions.cluster_id, cluster.id), inArray(sessions.status, movedBy('stop')), ne(sessions.desired, 'deleted')))
    .orderBy(sessions.id)
    .for('update')
  for (const row of rows) {
    const cell = lifecycle[row.status].stop
    if (cell === 'same' || cell === 'illegal') continue
    await writeChange(tx, ctx, row, { status: cell, desired: 'stopped', ending_reason: 'drained' }, 'session.stop', {
      reason: 'drained',
    })
  }
  if (rows.length === 0) return []
  const open = await tx
    .select({ id: grants.id })
    .from(grants)
    .where(
      and(
        inArray(
          grants.session_id,
          rows.map(row => row.id),
        ),
        isNull(grants.closed_at),
      ),
    )
  return open.map(grant => grant.id)
}

/** Takes the cluster off its sessions' rows. Those that lived become `failed`: refused unless forced. Answers how many did. */
export async function loseSessions(tx: Tx, ctx: Ctx, cluster: ClusterRow, force: boolean): Promise<number> {
  const here = eq(sessions.cluster_id, cluster.id)
  const live = await tx
    .select({ id: sessions.id, project: sessions.project_id })
    .from(sessions)
    .where(and(here, inArray(sessions.status, [...liveStatuses]), ne(sessions.desired, 'deleted')))
    .orderBy(sessions.id)
    .for('update')
  if (live.length > 0 && !force) {
    throw new Problem('conflict', `${live.length} sessions live there: end them or drain it first, or add ?force=true.`)
  }
  await tx.delete(sessions).where(and(here, eq(sessions.desired, 'deleted')))
  await tx
    .update(sessions)
    .set({
      status: 'failed',
      desired: 'stopped',
      termination_reason: 'failed',
      status_reason: `Its cluster ${cluster.name} was removed while it lived.`,
      ended_at: sql`clock_timestamp()`,
      cluster_id: null,
    })
    .where(and(here, inArray(sessions.status, [...liveStatuses])))
  await tx.update(sessions).set({ cluster_id: null }).where(here)
  for (const { id, project } of live) {
    await recordAudit(tx, ctx, { action: 'session.lose', target: id, project, detail: { cluster: cluster.id } })
    const session = await sessionForEvent(tx, id, ctx.origin)
    await emitEvent(tx, { type: 'session.updated', project, session: id, data: { session } })
  }
  return live.length
}
