/**
 * Following the events table without missing any. A sequence alone will not do: numbers are taken before commit, so a late commit hides
 * behind a higher number already read. Each row carries its transaction id; only rows older than every open transaction are read, in the
 * order (tx, seq), so nothing can appear behind the reader.
 */
import { and, asc, desc, eq, inArray, or, type SQL, sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { events } from '#db/schema.ts'

export interface Place {
  tx: string
  seq: number
}

export interface EventRow extends Place {
  id: string
  type: string
  data: Record<string, unknown>
  created_at: Date
}

/** Whose events: null project: all (admins). `shared`: also those of clusters that belong to every project. */
export interface Audience {
  project: string | null
  shared: boolean
  /** `session`, `cluster`, …: first words of the types that may be seen. */
  families: string[]
  session?: string
}

const settled = sql`${events.tx} < pg_snapshot_xmin(pg_current_snapshot())`

/** The newest place that is settled: where a reader without history starts. */
export async function newestPlace(db: Db): Promise<Place> {
  const [row] = await db.execute<{ tx: string }>(sql`select (pg_snapshot_xmin(pg_current_snapshot()))::text as tx`)
  return { tx: row!.tx, seq: 0 }
}

/** Where an event stands; null when it is no longer kept. */
export async function placeOf(db: Db, id: string): Promise<Place | null> {
  const [row] = await db
    .select({ tx: sql<string>`${events.tx}::text`, seq: events.seq })
    .from(events)
    .where(eq(events.id, id))
    .limit(1)
  return row ?? null
}

const shape = {
  id: events.id,
  type: events.type,
  data: events.data,
  created_at: events.created_at,
  seq: events.seq,
  tx: sql<string>`${events.tx}::text`,
}

export async function eventsAfter(db: Db, place: Place, audience: Audience, limit = 200): Promise<EventRow[]> {
  return db
    .select(shape)
    .from(events)
    .where(and(sql`(${events.tx}, ${events.seq}) > (${place.tx}::xid8, ${place.seq}::bigint)`, settled, seenBy(audience)))
    .orderBy(asc(events.tx), asc(events.seq))
    .limit(limit)
}

/** The newest first, for who asks once: what an open transaction will still add in between is not waited for. */
export async function eventsBefore(db: Db, before: Place | null, audience: Audience, limit: number): Promise<EventRow[]> {
  const older = before ? sql`(${events.tx}, ${events.seq}) < (${before.tx}::xid8, ${before.seq}::bigint)` : undefined
  return db
    .select(shape)
    .from(events)
    .where(and(older, seenBy(audience)))
    .orderBy(desc(events.tx), desc(events.seq))
    .limit(limit)
}

function seenBy({ project, shared, families, session }: Audience): SQL | undefined {
  const mine =
    project === null ? undefined : or(eq(events.project_id, project), shared ? sql`${events.project_id} is null` : sql`false`)
  return and(
    mine,
    session ? eq(events.session_id, session) : undefined,
    inArray(sql`split_part(${events.type}, '.', 1)`, families),
  )
}
