/** Ends warm sessions. One that is being taken at this moment is passed over: it is somebody's. */
import { and, asc, eq, inArray } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { warm_sessions } from '#db/schema.ts'
import { takeSeq } from '../sessions/desired.ts'

/** Its caller holds the cluster, or takes it here by the first number. */
export async function retireWarm(tx: Tx, cluster: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  const rows = await tx
    .select({ id: warm_sessions.id })
    .from(warm_sessions)
    .where(and(inArray(warm_sessions.id, [...ids]), eq(warm_sessions.desired, 'running')))
    .for('update', { skipLocked: true })
  for (const { id } of rows) {
    const change_seq = await takeSeq(tx, cluster)
    await tx.update(warm_sessions).set({ desired: 'deleted', change_seq }).where(eq(warm_sessions.id, id))
  }
}

/** Room for somebody's own session: warm ones give way, the youngest first. */
export async function giveWay(tx: Tx, cluster: string, count: number): Promise<void> {
  if (count <= 0) return
  const rows = await tx
    .select({ id: warm_sessions.id, created_at: warm_sessions.created_at })
    .from(warm_sessions)
    .where(and(eq(warm_sessions.cluster_id, cluster), eq(warm_sessions.desired, 'running')))
    .orderBy(asc(warm_sessions.created_at))
  await retireWarm(
    tx,
    cluster,
    rows.slice(-count).map(row => row.id),
  )
}
