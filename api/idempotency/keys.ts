/** The table of idempotency keys: taken in the transaction of the effect, so that neither is ever there without the other. */
import { and, eq, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Sql } from '#db/client.ts'
import { idempotency_keys } from '#db/schema.ts'
import { postgresFault } from '../database-faults.ts'
import { Problem } from '../problem.ts'
import { sameDigest } from '../tokens/format.ts'

export interface Slot {
  project_id: string
  /** User, method and path: two users of a project do not meet in one key. */
  route: string
  key: string
}

const Kept = z.object({
  content_type: z.string().nullable(),
  location: z.string().nullable(),
  /** Present unless sealed. */
  text: z.string().optional(),
  sealed: z.string().optional(),
})
export type Kept = z.infer<typeof Kept>

/** How long a second request waits for the first one's answer before it is told that one is in flight. */
const patienceMs = 2_000

const at = (slot: Slot) =>
  and(
    eq(idempotency_keys.project_id, slot.project_id),
    eq(idempotency_keys.route, slot.route),
    eq(idempotency_keys.key, slot.key),
  )

/** null: the key is ours now. Otherwise the answer that was kept; 409 while another request with the key is in flight, 422 for another body. */
export async function takeKey(tx: Sql, slot: Slot, hash: Uint8Array): Promise<{ status: number; body: Kept } | null> {
  await tx.execute(sql`select set_config('lock_timeout', ${String(patienceMs)}, true)`)
  const inserted = await insertOrWait(tx, slot, hash)
  await tx.execute(sql`select set_config('lock_timeout', '0', true)`)
  if (inserted) return null
  const [row] = await tx.select().from(idempotency_keys).where(at(slot))
  if (!row || row.status === null) throw inFlight()
  if (!sameDigest(row.request_hash, hash)) {
    throw new Problem('invalid', 'This Idempotency-Key was used with another request.', {
      errors: [{ pointer: 'Idempotency-Key', detail: 'was used with another request' }],
    })
  }
  return { status: row.status, body: Kept.parse(row.body) }
}

/** A row that another transaction is writing makes this wait for its end. */
async function insertOrWait(tx: Sql, slot: Slot, hash: Uint8Array): Promise<boolean> {
  try {
    const rows = await tx
      .insert(idempotency_keys)
      .values({ ...slot, request_hash: hash })
      .onConflictDoNothing()
      .returning({ key: idempotency_keys.key })
    return rows.length === 1
  } catch (error) {
    if (postgresFault(error)?.code === '55P03') throw inFlight()
    throw error
  }
}

function inFlight(): Problem {
  return new Problem('conflict', 'A request with this Idempotency-Key is still in flight.', { headers: { 'retry-after': '1' } })
}

export async function keepAnswer(tx: Sql, slot: Slot, status: number, body: Kept): Promise<void> {
  await tx.update(idempotency_keys).set({ status, body }).where(at(slot))
}

/** Answers are kept for a day at least. Call it about once an hour. */
export async function sweepIdempotencyKeys(db: Sql): Promise<void> {
  await db.execute(sql`delete from idempotency_keys where created_at < clock_timestamp() - interval '25 hours'`)
}
