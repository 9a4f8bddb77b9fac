/** Writes an event in the transaction of the change it tells of. Readers (`GET /v1/events`) follow the table; see read.ts. */
import type { Sql } from '#db/client.ts'
import { events } from '#db/schema.ts'
import { newId } from '../ids.ts'

export interface NewEvent {
  /** `session.created`, `session.updated`, `session.deleted`, `cluster.updated`, … */
  type: string
  /** null: seen by admins only. */
  project: string | null
  session?: string
  /** The object as its GET would answer, under its own name (`{session: …}`). */
  data: Record<string, unknown>
}

export async function emitEvent(sql: Sql, event: NewEvent): Promise<void> {
  await sql.insert(events).values(eventRow(event))
}

export function eventRow(event: NewEvent) {
  return {
    id: newId('evt'),
    project_id: event.project,
    session_id: event.session ?? null,
    type: event.type,
    data: event.data,
  }
}
