/**
 * What the pods that a manifest or deploy job left running write now, read from the cluster as a `logs` stream. Nothing of it is kept, so it has no
 * places that could be gone on from.
 */
import type { JobStatus } from '#db/schema.ts'
import type { StreamTarget } from '#protocol/link-messages.ts'
import type { Ctx } from '../../context.ts'
import { Problem } from '../../problem.ts'
import { pauseFor } from '../../sessions/wait.ts'
import { writeGrant } from '../../streams/grant.ts'
import { answerOrProblem } from '../../streams/host-exchange.ts'
import { enterable, outlives, podsBy, reachable } from '../../terminals/target.ts'
import type { JobRow } from '../view.ts'
import type { LogEvent } from './follow.ts'
import { safeText, showable } from './safe-text.ts'

export interface LiveWish {
  tail_lines: number | undefined
  follow: boolean
  pod: string | undefined
  container: string | undefined
}

export interface LiveAnswer {
  /** `pod/container`. */
  stream: string
  /** The same, and what else could be read, for the reader. */
  headers: Record<string, string>
  body: ReadableStream<Uint8Array>
}

export async function openLive(ctx: Ctx, row: JobRow, wish: LiveWish, signal: AbortSignal): Promise<LiveAnswer> {
  const cluster = placeOfLive(row)
  await reachable(ctx, cluster, 'logs_jobs')
  const { follow, tail_lines, pod, container } = wish
  const logs: NonNullable<StreamTarget['logs']> = {
    follow,
    ...(tail_lines === undefined ? {} : { tail_lines }),
    ...(pod ? { pod } : {}),
    ...(container ? { container } : {}),
    job: podsBy(row),
  }
  const grant = await writeGrant(ctx, {
    project: row.project_id,
    session: row.id,
    cluster,
    kind: 'logs',
    role: 'view',
    clipboard: 'none',
    target: { logs },
    audit: async () => {},
  })
  const answer = await answerOrProblem(await ctx.tunnel.openHttp(grant, null, signal))
  const named = (header: string) => answer.headers.get(header)?.match(/^[a-z0-9./, -]+$/)?.[0] ?? ''
  const stream = named('x-log-stream')
  return {
    stream,
    headers: { 'x-log-stream': stream, 'x-log-streams': named('x-log-streams') },
    body: answer.body ?? new Blob([]).stream(),
  }
}

function placeOfLive(row: JobRow): string {
  if (!outlives(row.type))
    throw new Problem('conflict', `A ${row.type} job leaves nothing running: its output is read without \`live\`.`)
  const cluster = enterable(row)
  const { spec } = row
  const nothing =
    'dry_run' in spec && spec.dry_run
      ? 'It was a dry run'
      : spec.type === 'manifest' && spec.action === 'delete'
        ? 'It removed things'
        : null
  if (nothing) throw new Problem('job_not_running', `${nothing}: nothing runs because of it.`)
  return cluster
}

const quietMs = 1_000

/** At the reader's pace; one that broke off ends with an error, never as if it were whole. */
export async function* liveLog(
  { body, stream }: LiveAnswer,
  { raw, status, signal }: { raw: boolean; status: JobStatus; signal: AbortSignal },
): AsyncGenerator<LogEvent> {
  const reader = body.getReader()
  const leave = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', leave, { once: true })
  const places: ReadonlyMap<string, number> = new Map()
  let offset = 0
  let held = new Uint8Array()
  const text = (bytes: Uint8Array): LogEvent => {
    const event = { kind: 'text' as const, stream, offset, text: safeText(new TextDecoder().decode(bytes)), places }
    offset += bytes.length
    return event
  }
  try {
    let reading = reader.read()
    while (!signal.aborted) {
      const step = await orQuiet(reading)
      if (step === null) {
        yield { kind: 'quiet' }
        continue
      }
      if (step.done) break
      reading = reader.read()
      reading.catch(() => {})
      if (raw) {
        yield { kind: 'raw', stream, offset, data: step.value, places }
        offset += step.value.length
        continue
      }
      const all = new Uint8Array(held.length + step.value.length)
      all.set(held)
      all.set(step.value, held.length)
      const length = showable(all)
      held = all.subarray(length)
      if (length > 0) yield text(all.subarray(0, length))
    }
    if (signal.aborted) return
    if (held.length > 0) yield text(held)
    yield { kind: 'end', status }
  } finally {
    signal.removeEventListener('abort', leave)
    leave()
  }
}

/** null: nothing came for a while. */
async function orQuiet<T>(reading: Promise<T>): Promise<T | null> {
  const over = new AbortController()
  try {
    return await Promise.race([reading, pauseFor(quietMs, over.signal).then(() => null)])
  } finally {
    over.abort()
  }
}
