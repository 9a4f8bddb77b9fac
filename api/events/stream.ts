/** Server-sent events from the table: polls while somebody reads, sends a comment when nothing happens, ends with its token. */
import type { Ctx } from '../context.ts'
import { type Audience, type EventRow, eventsAfter, type Place } from './read.ts'

const timing = { commentMs: 15_000, checkMs: 5_000 }

export interface Following {
  ctx: Ctx
  audience: Audience
  from: Place
  /** The reader's last event is no longer kept: tell it to read everything anew. */
  lost: boolean
  alive(): Promise<boolean>
  signal: AbortSignal
}

const line = (row: EventRow) => {
  const data = { id: row.id, object: 'event', type: row.type, created_at: row.created_at.toISOString(), ...row.data }
  return `id: ${row.id}\nevent: ${row.type}\ndata: ${JSON.stringify(data)}\n\n`
}

export function eventStream(following: Following): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const ended = new AbortController()
  const chunks = eventText(following, AbortSignal.any([following.signal, ended.signal]))
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    async cancel() {
      ended.abort()
      await chunks.return(undefined)
    },
  })
}

async function* eventText({ ctx, audience, from, lost, alive }: Following, signal: AbortSignal): AsyncGenerator<string> {
  let place = from
  let spoke = performance.now()
  let checked = spoke
  yield lost ? 'retry: 1000\nevent: resync\ndata: {}\n\n' : 'retry: 1000\n: connected\n\n'
  while (!signal.aborted) {
    const rows = await eventsAfter(ctx.db, place, audience)
    const last = rows.at(-1)
    const now = performance.now()
    if (last) {
      place = last
      spoke = now
      yield rows.map(line).join('')
    } else if (now - spoke >= timing.commentMs) {
      spoke = now
      yield ': still here\n\n'
    }
    if (now - checked >= timing.checkMs) {
      checked = now
      if (!(await alive())) return
    }
    if (rows.length === 0) await pause(ctx.config.eventPollMs, signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
