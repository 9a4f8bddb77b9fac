/** The cluster as its GET answers, for the events that a link's coming and going write. */
import { eq } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { clusters } from '#db/schema.ts'
import { clusterView } from '../clusters/view.ts'
import { databaseNow } from '../database-clock.ts'

export async function clusterForEvent(tx: Tx, id: string): Promise<Record<string, unknown> | null> {
  const [row] = await tx.select().from(clusters).where(eq(clusters.id, id))
  return row ? { ...clusterView(row, await databaseNow(tx)) } : null
}
