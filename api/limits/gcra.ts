/**
 * Rate limits that hold across replicas: GCRA in one statement, by the database's clock. A key's row holds the time at which all that was
 * admitted will have been paid back (`tat`); a request is admitted while that is no further away than the burst. The table is UNLOGGED: losing it
 * in a crash gives everybody one free burst.
 */
import { sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'

export interface Rate {
  /** Requests a minute, and as many at once. */
  perMinute: number
}

export interface Taken {
  admitted: boolean
  limit: number
  /** Requests that would be admitted now. */
  remaining: number
  /** Seconds until all is paid back. */
  resetSeconds: number
  /** Seconds until the next one is admitted; 0 when it would be now. */
  retrySeconds: number
}

export async function takeFromRate(db: Sql, key: string, rate: Rate): Promise<Taken> {
  const window = 60_000
  const cost = window / rate.perMinute
  const [row] = await db.execute<{ admitted: boolean; ahead_ms: string }>(sql`
    with taken as (
      insert into rate_limits as r (key, tat)
      values (${key}, clock_timestamp() + ${cost}::float8 * interval '1 millisecond')
      on conflict (key) do update
        set tat = greatest(r.tat, clock_timestamp()) + ${cost}::float8 * interval '1 millisecond'
        where greatest(r.tat, clock_timestamp()) + ${cost}::float8 * interval '1 millisecond'
          <= clock_timestamp() + ${window}::float8 * interval '1 millisecond'
      returning tat
    )
    select true as admitted, extract(epoch from tat - clock_timestamp()) * 1000 as ahead_ms from taken
    union all
    select false, extract(epoch from tat - clock_timestamp()) * 1000 from rate_limits
    where key = ${key} and not exists (select from taken)`)
  // Refused against a row this statement's snapshot does not see yet: the burst has just been used up.
  const ahead = Math.min(window, Math.max(0, Number(row?.ahead_ms ?? window)))
  return figures(row?.admitted === true, rate.perMinute, ahead)
}

/** How many would be admitted now; takes nothing. */
export async function leftOfRate(db: Sql, key: string, rate: Rate): Promise<number> {
  const [row] = await db.execute<{ ahead_ms: string }>(
    sql`select extract(epoch from tat - clock_timestamp()) * 1000 as ahead_ms from rate_limits where key = ${key}`,
  )
  return figures(true, rate.perMinute, Math.min(60_000, Math.max(0, Number(row?.ahead_ms ?? 0)))).remaining
}

/** Pure: what the headers say. */
export function figures(admitted: boolean, limit: number, aheadMs: number): Taken {
  const cost = 60_000 / limit
  const room = 60_000 - aheadMs
  return {
    admitted,
    limit,
    remaining: admitted ? Math.floor((room + 0.001) / cost) : 0,
    resetSeconds: Math.ceil(aheadMs / 1000),
    retrySeconds: room >= cost ? 0 : Math.max(1, Math.ceil((cost - room) / 1000)),
  }
}

/** Rows that no longer limit anybody. Call it about once an hour. */
export async function sweepRates(db: Sql): Promise<void> {
  await db.execute(sql`delete from rate_limits where tat < clock_timestamp()`)
}
