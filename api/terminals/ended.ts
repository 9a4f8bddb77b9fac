/** Which terminals an agent should no longer have: those that the API ended within the last hour; older ones have idled away by themselves. */
import { sql } from 'drizzle-orm'

export const endedLately = sql.raw(`coalesce(deleted_at, ended_at) > clock_timestamp() - interval '1 hour'`)
