/** Ends what nobody asked to end: the token behind it is over, what it was in is over, or nobody ever opened it. Every replica may run it. */
import { inArray, sql } from 'drizzle-orm'
import { type TerminalCause, terminals } from '#db/schema.ts'
import type { PeriodicEnv } from '../periodic-work.ts'
import { endTerminal } from './service.ts'

const words: Partial<Record<TerminalCause, string>> = {
  token_ended: 'The token that opened it has ended.',
  session_ended: 'What it was in has ended.',
  never_opened: 'Nobody opened it.',
}

/** Every few seconds. */
export async function sweepTerminals({ db, tunnel, origin }: PeriodicEnv): Promise<void> {
  const over = await db.execute<{ id: string; cause: TerminalCause }>(sql`
    select id, cause from (
      select m.id, case
        when t.id is null or t.revoked_at is not null or t.expires_at <= clock_timestamp() or t.grace_until <= clock_timestamp()
          or p.suspended_at is not null then 'token_ended'
        when m.session_id is not null and (s.desired <> 'running' or s.ended_at is not null) then 'session_ended'
        when m.job_id is not null and (j.desired = 'deleted' or j.cluster_id is distinct from m.cluster_id
          or (j.status <> 'running' and j.type not in ('manifest', 'deploy'))) then 'session_ended'
        when m.status = 'created' and m.created_at < clock_timestamp() - interval '10 minutes' then 'never_opened'
      end as cause
      from terminals m
      left join tokens t on t.id = m.token_id
      left join projects p on p.id = m.project_id
      left join sessions s on s.id = m.session_id
      left join jobs j on j.id = m.job_id
      where m.status <> 'ended'
    ) as looked where cause is not null limit 200`)
  if (over.length === 0) return
  const causes = new Map(over.map(row => [row.id, row.cause]))
  const touched = await db.transaction(async tx => {
    const rows = await tx
      .select()
      .from(terminals)
      .where(inArray(terminals.id, [...causes.keys()]))
      .orderBy(terminals.cluster_id, terminals.id)
    for (const row of rows) {
      const cause = causes.get(row.id)!
      await endTerminal(tx, row, cause, words[cause]!, origin)
    }
    return new Set(rows.map(row => row.cluster_id))
  })
  for (const cluster of touched) await tunnel.nudge(cluster)
}
