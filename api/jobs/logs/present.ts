/** What a reader of a log gets: plain text (or bytes) with gaps said in words, or server-sent events whose ids name a place in every stream. */
import { unknownGap } from '#protocol/job-logs.ts'
import type { LogEvent } from './follow.ts'

const commentMs = 15_000
const checkMs = 5_000
const encoder = new TextEncoder()

export const gapLine = (bytes: number) =>
  `\n[porthole: ${bytes === unknownGap ? 'an unknown amount' : `${bytes} bytes`} of output not kept]\n`

/** `alive` is asked every few seconds while somebody follows: a revoked token ends the reading. */
export async function* textLog(
  log: AsyncGenerator<LogEvent>,
  options: { headings: boolean; raw: boolean; alive(): Promise<boolean> },
): AsyncGenerator<Uint8Array> {
  const check = everyFewSeconds(options.alive)
  let stream: string | null = null
  for await (const event of log) {
    if (!(await check())) return
    if (event.kind === 'quiet' || event.kind === 'end') continue
    if (options.headings && event.stream !== stream) {
      stream = event.stream
      if (!options.raw) yield encoder.encode(`==> ${stream || 'job'} <==\n`)
    }
    if (event.kind === 'text') yield encoder.encode(event.text)
    else if (event.kind === 'raw') yield event.data
    else if (!options.raw) yield encoder.encode(gapLine(event.bytes))
  }
}

export async function* eventLog(
  log: AsyncGenerator<LogEvent>,
  attempt: number,
  alive: () => Promise<boolean>,
): AsyncGenerator<Uint8Array> {
  const check = everyFewSeconds(alive)
  let spoke = performance.now()
  yield encoder.encode('retry: 1000\n: connected\n\n')
  for await (const event of log) {
    if (!(await check())) return
    const now = performance.now()
    if (event.kind === 'quiet') {
      if (now - spoke < commentMs) continue
      spoke = now
      yield encoder.encode(': still here\n\n')
      continue
    }
    spoke = now
    if (event.kind === 'end') {
      yield encoder.encode(`event: end\ndata: ${JSON.stringify({ attempt, status: event.status })}\n\n`)
      return
    }
    if (event.kind === 'raw') continue
    const { kind, places, ...rest } = event
    const data = JSON.stringify({ attempt, ...rest })
    // What is read live has no places to go on from.
    const id = places.size > 0 ? `id: ${placeId(attempt, places)}\n` : ''
    yield encoder.encode(`${id}event: ${kind === 'gap' ? 'gap' : 'log'}\ndata: ${data}\n\n`)
  }
}

/** `2:=4096` or `2:web-1/app=17,web-1/init=0`. */
export function placeId(attempt: number, places: ReadonlyMap<string, number>): string {
  return `${attempt}:${[...places].map(([stream, offset]) => `${stream}=${offset}`).join(',')}`
}

/** null: none was given, or it is of another attempt: then everything anew. */
export function placesOf(id: string | undefined, attempt: number): Map<string, number> | null {
  const match = /^(\d{1,6}):(.*)$/.exec(id ?? '')
  if (!match || Number(match[1]) !== attempt) return null
  const places = new Map<string, number>()
  for (const part of match[2]!.split(',')) {
    const place = /^([a-z0-9./-]*)=(\d{1,15})$/.exec(part)
    if (!place) return null
    places.set(place[1]!, Number(place[2]))
  }
  return places
}

function everyFewSeconds(alive: () => Promise<boolean>): () => Promise<boolean> {
  let checked = performance.now()
  return async () => {
    if (performance.now() - checked < checkMs) return true
    checked = performance.now()
    return alive()
  }
}
