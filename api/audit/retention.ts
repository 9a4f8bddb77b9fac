/** The audit is kept for a year and a month unless told otherwise; what is older goes, a batch at a time so that nobody waits for it. */
import { sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'

export const auditDays = 400
const batch = 5_000

export async function sweepAudit(db: Db, days: number = auditDays): Promise<void> {
  for (;;) {
    const gone = await db.execute<{ id: string }>(sql`
      delete from audit where id in (
        select id from audit where created_at < clock_timestamp() - make_interval(days => ${days}) order by created_at limit ${batch})
      returning id`)
    if (gone.length < batch) return
  }
}
