/**
 * Rate limits that hold across replicas: GCRA in one statement, by the database's clock. A key's row holds the time at which all that was
 * admitted will have been paid back (`tat`); a request is admitted while that is no further away than the burst. The table is UNLOGGED: losing it
 * in a crash gives everybody one free burst.
 */
import { type SQL, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { keptSql } from '#db/kept.ts'
import { together } from '#db/together.ts'

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

export function takeFromRate(db: Sql, key: string, { perMinute }: Rate): Promise<Taken> {
  return take(db, { key, perMinute })
}

/** Those that meet at one key take together, as if one after the other: its row is locked for each anyway. */
const take = together<{ key: string; perMinute: number }, Taken>({
  lane: ({ key, perMinute }) => `${perMinute} ${key}`,
  ...{ atOnce: 1, most: 100, patienceMs: 0 },
  async work(db, asked) {
    const { key, perMinute } = asked[0]!
    const { taken, aheadMs } = await takeSome(db, key, 60_000 / perMinute, asked.length)
    return asked.map((_, n) => {
      const after = Math.max(0, taken - n - 1) * (60_000 / perMinute)
      return { value: figures(n < taken, perMinute, Math.max(0, aheadMs - after)) }
    })
  },
})

/** How many of `count` were admitted, and how far away it is that all is paid back. */
async function takeSome(db: Sql, key: string, cost: number, count: number): Promise<{ taken: number; aheadMs: number }> {
  const [row] = await taking(db, { rate_key: key, rate_cost: cost, rate_count: count })
  return { taken: row?.rate_taken ?? 0, aheadMs: aheadOf(row) }
}

const window = 60_000
const key = sql`${sql.placeholder('rate_key')}::text`
const cost = sql`${sql.placeholder('rate_cost')}::float8`
const room = (used: SQL) =>
  sql`least(${sql.placeholder('rate_count')}::float8, floor((${sql.raw(String(window))} - ${used} + 0.001) / ${cost}))::int`
const later = (times: SQL) => sql`${times} * ${cost} * interval '1 millisecond'`
/** `excluded` is what a row would be that has paid back all: all of its time is ahead of now. */
const nowThere = sql`(excluded.tat - ${later(sql`excluded.taken`)})`
const here = room(sql`extract(epoch from greatest(r.tat, ${nowThere}) - ${nowThere})::float8 * 1000`)

/** What `rateSteps` need to take one. */
export const rateValues = (key: string, { perMinute }: Rate) => ({ rate_key: key, rate_cost: 60_000 / perMinute, rate_count: 1 })
export const noRate = { rate_key: null, rate_cost: null, rate_count: null }

/** The first steps of a statement that takes from a rate itself: `clock`, and `rate`, which has a row where something was admitted. Without a key nothing is asked. */
export const rateSteps = sql`clock as materialized (select clock_timestamp() as at), rate as (
    insert into rate_limits as r (key, tat, taken)
    select ${key}, at + ${later(room(sql`0`))}, ${room(sql`0`)} from clock where ${key} is not null
    on conflict (key) do update set tat = greatest(r.tat, ${nowThere}) + ${later(here)}, taken = ${here}
      where ${here} >= 1
    returning tat, taken
  )`

/** What they found, as a select; `takenOf` reads it. */
export const rateFound = sql`
  select taken as rate_taken, extract(epoch from tat - clock_timestamp())::float8 * 1000 as rate_ahead_ms from rate
  union all
  select 0, extract(epoch from tat - clock_timestamp())::float8 * 1000 from rate_limits
  where key = ${key} and not exists (select from rate)`

export interface RateFound {
  rate_taken: number
  rate_ahead_ms: number
}

export function takenOf(found: RateFound | undefined, { perMinute }: Rate): Taken {
  return figures((found?.rate_taken ?? 0) > 0, perMinute, aheadOf(found))
}

/** Refused against a row that the statement's snapshot does not see yet: the burst has just been used up. */
const aheadOf = (found: RateFound | undefined) => Math.min(window, Math.max(0, found?.rate_ahead_ms ?? window))

const taking = keptSql<RateFound>(sql`with ${rateSteps} ${rateFound}`)

/** What was taken and turned out not to count. */
export async function giveBack(db: Sql, key: string, { perMinute }: Rate): Promise<void> {
  await db.execute(
    sql`update rate_limits set tat = tat - ${60_000 / perMinute}::float8 * interval '1 millisecond' where key = ${key}`,
  )
}

/** How far away it is that these keys have paid back all, as a select; `leftOfRate` reads it. Takes nothing. */
export function aheadOfRates(keys: SQL): SQL {
  return sql`select key, extract(epoch from tat - clock_timestamp()) * 1000 as ahead_ms from rate_limits where key = any(${keys})`
}

/** How many would be admitted now; a key without a row has all. */
export function leftOfRate(aheadMs: number | undefined, { perMinute }: Rate): number {
  return figures(true, perMinute, Math.min(60_000, Math.max(0, aheadMs ?? 0))).remaining
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
