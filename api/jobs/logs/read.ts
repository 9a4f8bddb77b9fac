/** Reads stored output: a few rows at a time, from any place, so that a log of any length and a reader of any speed cost the same. */
import { and, asc, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { job_log_chunks, job_logs } from '#db/schema.ts'
import { ofStream } from './take.ts'

export interface StreamKey {
  job_id: string
  attempt: number
  stream: string
}

export type StoredPiece = { offset: number; data: Uint8Array } | { offset: number; gap: number }

const rowsAtOnce = 4

/** Streams of an attempt that match, by name. `pod` and `container` as asked; neither: the job's own, or all when it has none. */
export async function streamsOf(
  db: Db,
  job: string,
  attempt: number,
  wish: { pod?: string | undefined; container?: string | undefined },
): Promise<string[]> {
  const rows = await db
    .select({ stream: job_logs.stream })
    .from(job_logs)
    .where(and(eq(job_logs.job_id, job), eq(job_logs.attempt, attempt)))
    .orderBy(asc(job_logs.stream))
  const names = rows.map(row => row.stream)
  if (wish.pod === undefined && wish.container === undefined) return names.includes('') || names.length === 0 ? [''] : names
  return names.filter(name => {
    const [pod, container] = name.split('/')
    return (
      name !== '' &&
      (wish.pod === undefined || pod === wish.pod) &&
      (wish.container === undefined || container === wish.container)
    )
  })
}

/** What is stored from there on, at most a few rows; empty: nothing yet. */
export async function piecesFrom(db: Db, key: StreamKey, offset: number): Promise<StoredPiece[]> {
  const rows = await chunks(db, key, sql`${job_log_chunks.offset} + ${job_log_chunks.length} > ${offset}`)
    .orderBy(asc(job_log_chunks.seq))
    .limit(rowsAtOnce)
  return rows.map(({ offset: start, length, data }) => {
    const skip = Math.max(0, offset - start)
    return data === null ? { offset: start + skip, gap: length - skip } : { offset: start + skip, data: data.subarray(skip) }
  })
}

/** Where the last so many lines begin. */
export async function tailOffset(db: Db, key: StreamKey, lines: number): Promise<number> {
  const [row] = await db.select({ next: job_logs.next }).from(job_logs).where(ofStream(job_logs, key))
  let start = row?.next ?? 0
  if (lines === 0) return start
  let left = lines
  let below: number | null = null
  for (;;) {
    const page = await chunks(db, key, below === null ? undefined : lt(job_log_chunks.seq, below))
      .orderBy(desc(job_log_chunks.seq))
      .limit(rowsAtOnce)
    if (page.length === 0) return start
    for (const { seq, offset, data } of page) {
      below = seq
      for (let at = (data?.length ?? 0) - 1; at >= 0; at--) {
        if (data![at] !== 0x0a) continue
        // The newline at the very end closes the last line; it begins none.
        if (offset + at + 1 === row?.next) continue
        if (--left === 0) return offset + at + 1
      }
      start = offset
    }
  }
}

/** Bytes of an attempt's streams that are not kept. */
export async function missingBytes(db: Db, key: StreamKey): Promise<number> {
  const [row] = await db
    .select({ missing: sql`coalesce(sum(${job_log_chunks.length}), 0)`.mapWith(Number) })
    .from(job_log_chunks)
    .where(and(ofStream(job_log_chunks, key), sql`${job_log_chunks.data} is null`, gte(job_log_chunks.seq, 0)))
  return row?.missing ?? 0
}

function chunks(db: Db, key: StreamKey, more: SQL | undefined) {
  const { seq, offset, length, data } = job_log_chunks
  return db
    .select({ seq, offset, length, data })
    .from(job_log_chunks)
    .where(and(ofStream(job_log_chunks, key), more))
    .$dynamic()
}
