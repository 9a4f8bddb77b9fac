/**
 * A job's output as somebody reads it: what is stored, then what comes, at the reader's own pace. Pure bytes stay bytes for `raw`; everything else
 * is safe text, cut where a character and an escape sequence are whole, so that every place it names can be gone on from.
 */

import { eq } from 'drizzle-orm'
import type { Db } from '#db/client.ts'
import { type JobStatus, jobs } from '#db/schema.ts'
import { pauseFor } from '../../sessions/wait.ts'
import { isFinalJob } from '../lifecycle.ts'
import { piecesFrom, streamsOf } from './read.ts'
import { safeText, showable } from './safe-text.ts'

export interface LogWish {
  job: string
  attempt: number
  pod?: string | undefined
  container?: string | undefined
  follow: boolean
}

/** `places` after this piece: where each stream would be gone on from. */
export type LogEvent =
  | { kind: 'text'; stream: string; offset: number; text: string; places: ReadonlyMap<string, number> }
  | { kind: 'raw'; stream: string; offset: number; data: Uint8Array; places: ReadonlyMap<string, number> }
  | { kind: 'gap'; stream: string; offset: number; bytes: number; places: ReadonlyMap<string, number> }
  /** Nothing new for a while. */
  | { kind: 'quiet' }
  | { kind: 'end'; status: JobStatus }

const pollMs = 250
/** The agent had this long to bring the rest. */
const lastWordsMs = 60_000

export interface Reading {
  db: Db
  wish: LogWish
  raw: boolean
  from: ReadonlyMap<string, number>
  signal: AbortSignal
}

export async function* readLog({ db, wish, raw, from, signal }: Reading): AsyncGenerator<LogEvent> {
  const places = new Map(from)
  const held = new Map<string, Uint8Array>()
  while (!signal.aborted) {
    const state = await stateOf(db, wish)
    if (!state) return
    let moved = false
    for (const stream of await streamsOf(db, wish.job, wish.attempt, wish)) {
      const key = { job_id: wish.job, attempt: wish.attempt, stream }
      for (;;) {
        const rest = held.get(stream) ?? new Uint8Array()
        const start = places.get(stream) ?? 0
        const pieces = await piecesFrom(db, key, start + rest.length)
        if (pieces.length === 0) break
        moved = true
        for (const piece of pieces) {
          for (const event of show(piece, stream, places, held, raw)) {
            yield event
            if (signal.aborted) return
          }
        }
      }
    }
    if (state.over || !wish.follow) {
      for (const [stream, rest] of held) if (rest.length > 0) yield textOf(stream, rest, rest.length, places, held)
      yield { kind: 'end', status: state.status }
      return
    }
    if (moved) continue
    yield { kind: 'quiet' }
    await pauseFor(pollMs, signal)
  }
}

function* show(
  piece: Awaited<ReturnType<typeof piecesFrom>>[number],
  stream: string,
  places: Map<string, number>,
  held: Map<string, Uint8Array>,
  raw: boolean,
): Generator<LogEvent> {
  const rest = held.get(stream) ?? new Uint8Array()
  if ('gap' in piece) {
    if (rest.length > 0) yield textOf(stream, rest, rest.length, places, held)
    places.set(stream, piece.offset + piece.gap)
    yield { kind: 'gap', stream, offset: piece.offset, bytes: piece.gap, places }
    return
  }
  if (raw) {
    places.set(stream, piece.offset + piece.data.length)
    yield { kind: 'raw', stream, offset: piece.offset, data: piece.data, places }
    return
  }
  const all = new Uint8Array(rest.length + piece.data.length)
  all.set(rest)
  all.set(piece.data, rest.length)
  const length = showable(all)
  if (length === 0) held.set(stream, all)
  else yield textOf(stream, all, length, places, held)
}

function textOf(
  stream: string,
  bytes: Uint8Array,
  length: number,
  places: Map<string, number>,
  held: Map<string, Uint8Array>,
): LogEvent {
  const offset = places.get(stream) ?? 0
  places.set(stream, offset + length)
  held.set(stream, bytes.subarray(length))
  return { kind: 'text', stream, offset, text: safeText(new TextDecoder().decode(bytes.subarray(0, length))), places }
}

/** `over`: nothing more will come. null: the job is gone. */
async function stateOf(db: Db, wish: LogWish): Promise<{ status: JobStatus; over: boolean } | null> {
  const [row] = await db
    .select({ status: jobs.status, attempt: jobs.attempt, desired: jobs.desired, ended_at: jobs.ended_at })
    .from(jobs)
    .where(eq(jobs.id, wish.job))
  if (!row) return null
  const taken = row.desired !== 'running' && row.desired !== 'canceled'
  const late = row.ended_at !== null && Date.now() - row.ended_at.getTime() > lastWordsMs
  const over = row.attempt > wish.attempt || (isFinalJob(row.status) && (taken || late))
  return { status: row.status, over }
}
