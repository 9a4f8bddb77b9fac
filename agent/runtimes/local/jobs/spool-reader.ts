/**
 * Reads a spool while it grows. A reader that cannot keep up is not allowed to fall ever further behind: beyond the head it jumps to what is new,
 * and the jump is a gap like what the writer dropped.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LogPiece } from '../../job-runtime.ts'
import { segmentBytes, spoolHeadBytes } from './spool-writer.ts'

const pieceBytes = 64 * 1024
/** So far may a reader be behind a running job. */
const longestLag = 8 * segmentBytes
/** Where it goes on then; and how much of the end is read once the job is over. */
const lagJump = segmentBytes
export const spoolTailBytes = 4 * segmentBytes

interface Segment {
  start: number
  length: number
  path: string
}

export interface SpoolReading {
  folder: string
  offset: number
  /** True once nothing more will be written. Asked before the folder is looked at. */
  ended: () => Promise<boolean>
  /** Resolves when there may be more, or the signal aborts. */
  more: (signal: AbortSignal) => Promise<void>
  signal: AbortSignal
}

export async function* readSpool({ folder, offset, ended, more, signal }: SpoolReading): AsyncGenerator<LogPiece> {
  let at = offset
  const buffer = Buffer.allocUnsafe(pieceBytes)
  while (!signal.aborted) {
    const over = await ended()
    const segments = await segmentsOf(folder)
    const last = segments.at(-1)
    const end = last ? last.start + last.length : 0
    const target = jumpTarget(at, end, over)
    if (target !== null) {
      yield { offset: at, gap: target - at }
      at = target
    }
    if (at >= end) {
      if (over) return
      await more(signal)
      continue
    }
    const segment = segments.find(each => at < each.start + each.length)!
    if (segment.start > at) {
      yield { offset: at, gap: segment.start - at }
      at = segment.start
    }
    const file = await open(segment.path, 'r').catch(() => null)
    // Dropped between the look and the reading: the next look sees the hole.
    if (!file) continue
    try {
      let left = segment.start + segment.length - at
      while (left > 0 && !signal.aborted) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(pieceBytes, left), at - segment.start)
        if (bytesRead === 0) break
        yield { offset: at, data: Buffer.from(buffer.subarray(0, bytesRead)) }
        at += bytesRead
        left -= bytesRead
      }
    } finally {
      await file.close()
    }
  }
}

/** Where to go on instead of `at`; null: there. The head is always read in full. */
function jumpTarget(at: number, end: number, over: boolean): number | null {
  if (at < spoolHeadBytes) return null
  if (over) return end - at > spoolTailBytes ? end - spoolTailBytes : null
  return end - at > longestLag ? end - lagJump : null
}

async function segmentsOf(folder: string): Promise<Segment[]> {
  const names = await readdir(folder).catch(() => [])
  const found: Segment[] = []
  for (const name of names.sort()) {
    const path = join(folder, name)
    const facts = await stat(path).catch(() => null)
    if (facts && /^\d{16}$/.test(name)) found.push({ start: Number(name), length: facts.size, path })
  }
  return found
}
