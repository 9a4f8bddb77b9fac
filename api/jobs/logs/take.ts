/**
 * Takes a piece of output over, in one transaction under the lock of its stream's row. Only what begins at `next` is written; what is known
 * already is answered as taken, what lies beyond is refused with where to go on. So the rows of a stream always join, whoever was killed when.
 */
import { and, asc, desc, eq, gte, inArray, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { clusters, job_attempts, job_log_chunks, job_logs, jobs } from '#db/schema.ts'
import type { LogPieceAnswer, LogPieceQuery } from '#protocol/job-logs.ts'
import type { Ctx } from '../../context.ts'
import { notFound, Problem } from '../../problem.ts'

/** How much of a stream is kept: its beginning, and its newest. Between them a gap says how much is missing. */
export interface LogCaps {
  headBytes: number
  totalBytes: number
  /** Beyond the total by so much before anything is dropped: dropping has a price. */
  slackBytes: number
}
export const logCaps: LogCaps = { headBytes: 4 * 2 ** 20, totalBytes: 8 * 2 ** 20, slackBytes: 2 ** 20 }

/** Small pieces are laid together up to this. */
const joinBytes = 16 * 1024

type LogRow = typeof job_logs.$inferSelect
export type Taken = { kind: 'taken' | 'elsewhere'; answer: LogPieceAnswer }

export async function takeLogPiece(
  ctx: Pick<Ctx, 'db'>,
  agent: { cluster: string },
  job: string,
  piece: LogPieceQuery,
  data: Uint8Array,
  caps: LogCaps = logCaps,
): Promise<Taken> {
  return ctx.db.transaction(async tx => {
    await checkFence(tx, agent.cluster, job, piece)
    const key = { job_id: job, attempt: piece.attempt, stream: piece.stream }
    await tx.insert(job_logs).values(key).onConflictDoNothing()
    const [row] = await tx.select().from(job_logs).where(ofStream(job_logs, key)).for('update')
    if (!row) throw notFound('job')
    const answer = (now: LogRow): LogPieceAnswer => ({ next: now.next, mark: now.mark, complete: now.complete })
    if (piece.offset === undefined) return { kind: 'taken', answer: answer(row) }
    if (piece.offset > row.next) return { kind: 'elsewhere', answer: answer(row) }
    const known = row.next - piece.offset
    const length = piece.gap ?? data.length
    if (row.complete || (known > 0 && known >= length)) return { kind: 'taken', answer: answer(row) }
    const next =
      piece.gap === undefined ? await addData(tx, row, data.subarray(known)) : await addGap(tx, row, Math.max(0, length - known))
    Object.assign(next, { mark: piece.mark ?? row.mark, complete: piece.complete === '1' })
    if (next.kept_bytes > caps.totalBytes + caps.slackBytes) await trim(tx, next, caps)
    await tx
      .update(job_logs)
      .set({ ...next, updated_at: sql`clock_timestamp()` })
      .where(ofStream(job_logs, key))
    return { kind: 'taken', answer: answer(next) }
  })
}

/** 409 for an older term of the link, 404 for a job this cluster never had. */
export async function checkFence(
  tx: Sql,
  cluster: string,
  job: string,
  { epoch, attempt }: Pick<LogPieceQuery, 'epoch' | 'attempt'>,
): Promise<void> {
  const [here] = await tx.select({ epoch: clusters.epoch }).from(clusters).where(eq(clusters.id, cluster))
  if (here?.epoch !== epoch) throw new Problem('conflict', 'This is not the term of the agent’s link.')
  const [row] = await tx.select({ cluster: jobs.cluster_id, attempt: jobs.attempt }).from(jobs).where(eq(jobs.id, job))
  if (!row) throw notFound('job')
  if (row.attempt === attempt && row.cluster === cluster) return
  const [earlier] = await tx
    .select({ cluster: job_attempts.cluster_id })
    .from(job_attempts)
    .where(and(eq(job_attempts.job_id, job), eq(job_attempts.attempt, attempt)))
  if (earlier?.cluster !== cluster) throw notFound('job')
}

type Key = Pick<LogRow, 'job_id' | 'attempt' | 'stream'>

export function ofStream(table: typeof job_logs | typeof job_log_chunks, key: Key) {
  return and(eq(table.job_id, key.job_id), eq(table.attempt, key.attempt), eq(table.stream, key.stream))
}

const keyOf = ({ job_id, attempt, stream }: Key): Key => ({ job_id, attempt, stream })

async function lastChunk(tx: Tx, row: LogRow) {
  const [last] = await tx
    .select({ seq: job_log_chunks.seq, length: job_log_chunks.length, gap: sql<boolean>`${job_log_chunks.data} is null` })
    .from(job_log_chunks)
    .where(ofStream(job_log_chunks, row))
    .orderBy(desc(job_log_chunks.seq))
    .limit(1)
  return last
}

async function addData(tx: Tx, row: LogRow, data: Uint8Array): Promise<LogRow> {
  if (data.length === 0) return { ...row }
  const last = data.length < joinBytes ? await lastChunk(tx, row) : undefined
  const grown = { next: row.next + data.length, kept_bytes: row.kept_bytes + data.length }
  if (last && !last.gap && last.length + data.length <= joinBytes) {
    await tx
      .update(job_log_chunks)
      .set({ data: sql`${job_log_chunks.data} || ${data}`, length: last.length + data.length })
      .where(and(ofStream(job_log_chunks, row), eq(job_log_chunks.seq, last.seq)))
    return { ...row, ...grown }
  }
  await tx.insert(job_log_chunks).values({ ...keyOf(row), seq: row.chunks, offset: row.next, length: data.length, data })
  return { ...row, ...grown, chunks: row.chunks + 1 }
}

async function addGap(tx: Tx, row: LogRow, length: number): Promise<LogRow> {
  const last = await lastChunk(tx, row)
  if (last?.gap) {
    await tx
      .update(job_log_chunks)
      .set({ length: last.length + length })
      .where(and(ofStream(job_log_chunks, row), eq(job_log_chunks.seq, last.seq)))
    return { ...row, next: row.next + length }
  }
  await tx.insert(job_log_chunks).values({ ...keyOf(row), seq: row.chunks, offset: row.next, length })
  return { ...row, next: row.next + length, chunks: row.chunks + 1 }
}

/** Drops the oldest behind the head until the total fits, and leaves one gap in its place. */
async function trim(tx: Tx, row: LogRow, caps: LogCaps): Promise<void> {
  const behindHead = await tx
    .select({
      seq: job_log_chunks.seq,
      offset: job_log_chunks.offset,
      length: job_log_chunks.length,
      gap: sql<boolean>`${job_log_chunks.data} is null`,
    })
    .from(job_log_chunks)
    .where(and(ofStream(job_log_chunks, row), gte(job_log_chunks.offset, caps.headBytes)))
    .orderBy(asc(job_log_chunks.seq))
  const dropped: typeof behindHead = []
  let kept = row.kept_bytes
  for (const chunk of behindHead) {
    if (kept <= caps.totalBytes) break
    dropped.push(chunk)
    if (!chunk.gap) kept -= chunk.length
  }
  const [first] = dropped
  if (!first || dropped.length < 2) return
  await tx.delete(job_log_chunks).where(
    and(
      ofStream(job_log_chunks, row),
      inArray(
        job_log_chunks.seq,
        dropped.map(chunk => chunk.seq),
      ),
    ),
  )
  const length = dropped.reduce((sum, chunk) => sum + chunk.length, 0)
  await tx.insert(job_log_chunks).values({ ...keyOf(row), seq: first.seq, offset: first.offset, length })
  row.kept_bytes = kept
}
