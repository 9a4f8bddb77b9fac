/**
 * What an open screen may do now: never more than it was let in with, and in `single` mode only whoever holds control. Computed from rows each
 * time it is asked (level-triggered), so that a holder who left needs no cleaning up: control is the session's user's again.
 */
import { sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { grants, sessions } from '#db/schema.ts'
import type { StreamRole } from '#protocol/link-messages.ts'

/** Of a row of `grants` joined with its row of `sessions`. */
export const roleNow = sql<StreamRole>`case
  when ${grants.kind} <> 'vnc' or ${grants.role} = 'view' or ${sessions.control} = 'shared' then ${grants.role}
  when exists (select from grants h where h.id = ${sessions.control_holder} and h.session_id = ${sessions.id} and h.closed_at is null)
    then case when ${grants.id} = ${sessions.control_holder} then 'control' else 'view' end
  when ${grants.link_id} is null and ${grants.user_id} = ${sessions.user_id} then 'control'
  else 'view' end`

/** Of these streams, those that are screens: a stream that is not answered has no role that could change. */
export async function rolesNow(db: Pick<Db, 'execute'>, streams: readonly string[]): Promise<{ id: string; role: StreamRole }[]> {
  if (streams.length === 0) return []
  const rows = await db.execute<{ id: string; role: StreamRole }>(sql`
    select ${grants.id} as id, ${roleNow} as role from ${grants} join ${sessions} on ${sessions.id} = ${grants.session_id}
    where ${grants.id} in (select jsonb_array_elements_text(${JSON.stringify(streams)}::jsonb)) and ${grants.kind} = 'vnc'`)
  return [...rows]
}
