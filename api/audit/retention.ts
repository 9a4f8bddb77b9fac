/** The audit is kept for a year and a month unless told otherwise; what is older goes, a batch at a time so that nobody waits for it. */
import { sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'

export const auditDays = 400
const batch = 5_000

export async function sweepAudit(db: Db, days: number = auditDays): Promise<void> {
  for (;;) {
    const gone = await db.transaction(async tx => {
      // The one way past the trigger that keeps the audit as it was written.
      await tx.execute(sql`select set_config('porthole.audit_retention', 'on', true)`)
      return tx.execute<{ id: string }>(sql`
        delete from audit where id in (
          select id from audit where created_at < clock_timestamp() - make_interval(days => ${days}) order by created_at limit ${batch})
        returning id`)
    })
    if (gone.length < batch) break
  }
  // Of each chain the last link without a record stays: the next one's hash is over it.
  await db.execute(sql`
    delete from audit_chain c using (
      select k.project_id, coalesce(min(k.place) filter (where a.id is not null) - 1, max(k.place)) as first
      from audit_chain k left join audit a on a.id = k.audit_id group by k.project_id) kept
    where c.project_id = kept.project_id and c.place < kept.first`)
}
