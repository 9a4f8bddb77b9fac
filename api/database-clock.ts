/** The one clock that decides: Postgres'. Read in the transaction that compares with it. */
import { sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'

export const epochMs = sql<number>`extract(epoch from clock_timestamp()) * 1000`.mapWith(Number)

export async function databaseNow(db: Sql): Promise<Date> {
  const [row] = await db.execute<{ ms: string }>(sql`select extract(epoch from clock_timestamp()) * 1000 as ms`)
  return new Date(Number(row!.ms))
}
