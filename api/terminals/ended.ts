/** Which terminals an agent should no longer have. */
import { and, eq, gt, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { terminals } from '#db/schema.ts'

/** Those that the API ended within the last hour: older ones have idled away by themselves. */
export async function endedTerminals(db: Sql, cluster: string, seq: number): Promise<string[]> {
  const rows = await db
    .select({ id: terminals.id })
    .from(terminals)
    .where(
      and(
        eq(terminals.cluster_id, cluster),
        gt(terminals.change_seq, seq),
        sql`coalesce(${terminals.deleted_at}, ${terminals.ended_at}) > clock_timestamp() - interval '1 hour'`,
      ),
    )
  return rows.map(row => row.id)
}
