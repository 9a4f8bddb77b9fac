/** What nobody will ask for any more goes. Each statement is safe on every replica at once; call it every few minutes or once an hour. */
import type { Db } from '#db/client.ts'
import { sweepWebSessions } from './auth/service.ts'
import { sweepEnrollments } from './clusters/service.ts'
import { sweepIdempotencyKeys } from './idempotency/keys.ts'
import { sweepRates } from './limits/gcra.ts'
import { sweepUploads } from './uploads/service.ts'

export async function sweepStale(db: Db): Promise<void> {
  await sweepRates(db)
  await sweepIdempotencyKeys(db)
  await sweepWebSessions(db)
  await sweepEnrollments(db)
  await sweepUploads(db)
}
