/**
 * A pod's output by offset. The API server knows no offsets, so they are counted from the first byte; a reading that is taken up again counts anew
 * and skips what is known. When the node has rotated the beginning away (its first line has another stamp), nobody knows how much is missing:
 * that is an unknown gap, and the reading goes on from the moment of the last piece. A node does not wait for slow readers, so it is read at
 * full speed, and what does not fit meanwhile is a gap as well.
 */

import { type Clock, sleep } from '#agent/clock.ts'
import { unknownGap } from '#protocol/job-logs.ts'
import type { LogPiece, LogPosition } from '../../job-runtime.ts'
import type { KubeClient } from '../kube-client.ts'
import { KubeError } from '../kube-error.ts'
import { isSilentYet } from '../pod-logs.ts'

export interface RunLogParts {
  client: KubeClient
  clock: Clock
  /** Of the pod's log. */
  path: string
  container: string
  /** See KubeRequest. */
  as?: string
  /** Nothing more will be written. */
  ended: () => boolean | Promise<boolean>
  /** Aborts when nobody wants to wait for more: what is there by then is read, whether its writer has ended or not. */
  over?: AbortSignal
  /** Between two looks at one that is silent. */
  lookMs?: number
  signal: AbortSignal
}

const pieceBytes = 64 * 1024
const ringBytes = 2 * 2 ** 20
const againMs = 500
const markOf = (first: string, at: number) => `${first}|${new Date(at).toISOString()}`

export async function* podOutput(parts: RunLogParts, from: LogPosition): AsyncGenerator<LogPiece> {
  const { client, clock, container, as, ended, over: unwanted, lookMs = againMs, signal } = parts
  let at = from.offset
  let mark = from.mark
  while (!signal.aborted) {
    const over = await ended()
    try {
      const first = await firstStamp(parts)
      if (first === null) {
        if (over) return
        await sleep(clock, lookMs, signal)
        continue
      }
      const [knownFirst, seenAt] = mark?.split('|') ?? []
      const rotated = at > 0 && knownFirst !== undefined && knownFirst !== first
      if (rotated) {
        yield { offset: at, gap: unknownGap, mark: markOf(first, clock.wall()) }
        at += unknownGap
      }
      const query = rotated ? { sinceTime: seenAt } : {}
      let skip = rotated ? 0 : at
      const body = await client.stream({
        method: 'GET',
        path: parts.path,
        query: { container, ...(!unwanted?.aborted && { follow: true }), ...query },
        ...(as !== undefined && { as }),
        priority: 'look',
        signal: unwanted && !unwanted.aborted ? AbortSignal.any([signal, unwanted]) : signal,
      })
      for await (const piece of drained(body, signal)) {
        if ('gap' in piece) {
          const lost = piece.gap - Math.min(skip, piece.gap)
          skip -= piece.gap - lost
          if (lost > 0) yield { offset: at, gap: lost }
          at += lost
          continue
        }
        const data = piece.data.subarray(Math.min(skip, piece.data.length))
        skip -= piece.data.length - data.length
        for (let start = 0; start < data.length; start += pieceBytes) {
          const part = data.subarray(start, start + pieceBytes)
          mark = markOf(first, clock.wall())
          yield { offset: at, data: part, mark }
          at += part.length
        }
      }
      if (over) return
    } catch (error) {
      if (signal.aborted) return
      // Its pod is gone, and its output with it.
      if (error instanceof KubeError && error.status === 404) return
      if (!isSilentYet(error) && !(error instanceof KubeError && error.isPassing) && over) return
    }
    if (!(await ended())) await sleep(clock, lookMs, signal)
  }
}

/** The stamp of the log's first line: it tells whether the beginning is still there. null: it has said nothing yet. */
async function firstStamp({ client, path, container, as, signal }: RunLogParts): Promise<string | null> {
  const body = await client.stream({
    method: 'GET',
    path,
    query: { container, timestamps: true, limitBytes: 64 },
    ...(as !== undefined && { as }),
    priority: 'look',
    signal,
  })
  let text = ''
  try {
    for await (const chunk of body) text += String(chunk)
  } finally {
    body.destroy()
  }
  return /^(\S{20,40}) /.exec(text)?.[1] ?? null
}

type Drained = { data: Buffer } | { gap: number }

/** Reads on while the taker is busy; what does not fit is dropped, oldest first, and counted. */
async function* drained(body: AsyncIterable<Buffer> & { destroy(): unknown }, signal: AbortSignal): AsyncGenerator<Drained> {
  const ring: Buffer[] = []
  let bytes = 0
  let dropped = 0
  let over = false
  let fault: unknown = null
  let wake: () => void = () => {}
  const reading = (async () => {
    for await (const chunk of body) {
      ring.push(chunk)
      bytes += chunk.length
      while (bytes > ringBytes && ring.length > 1) {
        const oldest = ring.shift()!
        bytes -= oldest.length
        dropped += oldest.length
      }
      wake()
    }
  })()
    .catch(error => {
      fault = error
    })
    .finally(() => {
      over = true
      wake()
    })
  try {
    while (!signal.aborted) {
      if (dropped > 0) {
        const gap = dropped
        dropped = 0
        yield { gap }
        continue
      }
      const data = ring.shift()
      if (data) {
        bytes -= data.length
        yield { data }
        continue
      }
      if (over) break
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    if (fault && !signal.aborted) throw fault
  } finally {
    body.destroy()
    await reading
  }
}
