/** Column types that drizzle does not have, and the clock that every table uses. */
import { sql } from 'drizzle-orm'
import { customType, timestamp } from 'drizzle-orm/pg-core'

/** Uint8Array, not Buffer: this room also runs on Workers. */
export const bytes = customType<{ data: Uint8Array }>({ dataType: () => 'bytea' })
/** SHA-256 digests. */
export const digest = bytes
export const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' })
export const instant = (name: string) => timestamp(name, { withTimezone: true, mode: 'date', precision: 3 })
export const now = sql`clock_timestamp()`
