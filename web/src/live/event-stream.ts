/**
 * The one live connection of the dashboard: `GET /v1/events`, resumed with `Last-Event-ID`, for as long as the signal lives.
 * Reconnects with full jitter; `wake()` (network came back, tab became visible) skips the wait. Silence for `silenceMs` counts
 * as a dead connection: a half-open one would otherwise look live for ever.
 */
import type { LiveEvent } from '../api/contract.ts'
import { backoffDelay, eventBackoff } from './backoff.ts'
import { createEventParser } from './event-parser.ts'

export type LinkState =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'live'; since: number }
  | { phase: 'waiting'; attempt: number; retryAt: number }
  | { phase: 'closed' }
  /** This token may not hear of anything: pages work, and are loaded anew by hand. */
  | { phase: 'deaf' }

export interface EventStreamParts {
  url: string
  fetch: typeof fetch
  onEvent: (event: LiveEvent) => void
  onState: (state: LinkState) => void
  /** Events were missed: what is known must be fetched anew. */
  onGap: () => void
  /** The server no longer knows us (401): the stream ends for good. */
  onSignedOut: () => void
  signal: AbortSignal
  random?: () => number
  now?: () => number
  silenceMs?: number
}

export interface EventStream {
  wake: () => void
  /** Settles when the signal ended it. */
  done: Promise<void>
}

export function openEventStream(parts: EventStreamParts): EventStream {
  const { signal, random = Math.random, now = Date.now, silenceMs = 70_000 } = parts
  let lastEventId: string | null = null
  let skipWait: () => void = () => {}

  async function connectOnce(): Promise<'signed-out' | 'deaf' | 'served' | 'refused'> {
    const own = new AbortController()
    const cancel = AbortSignal.any([signal, own.signal])
    let watchdog = setTimeout(() => own.abort(), silenceMs)
    let served = false
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream' }
      if (lastEventId) headers['last-event-id'] = lastEventId
      const response = await parts.fetch(parts.url, { headers, credentials: 'same-origin', cache: 'no-store', signal: cancel })
      if (response.status === 401) return 'signed-out'
      if (response.status === 403) return 'deaf'
      if (!response.ok || !response.body) {
        await response.body?.cancel()
        // The id may have fallen out of the server's memory: begin anew rather than ask for it for ever.
        if (response.status >= 400 && response.status < 500) lastEventId = null
        return 'refused'
      }
      served = true
      parts.onState({ phase: 'live', since: now() })
      const parser = createEventParser()
      const decoder = new TextDecoder()
      for await (const chunk of streamOf(response.body, cancel)) {
        clearTimeout(watchdog)
        watchdog = setTimeout(() => own.abort(), silenceMs)
        for (const message of parser.push(decoder.decode(chunk, { stream: true }))) {
          if (message.id) lastEventId = message.id
          if (message.event === 'resync') parts.onGap()
          const event = readEvent(message.data)
          if (event) parts.onEvent(event)
        }
      }
      return 'served'
    } catch {
      return served ? 'served' : 'refused'
    } finally {
      clearTimeout(watchdog)
    }
  }

  function wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(end, ms)
      function end() {
        clearTimeout(timer)
        signal.removeEventListener('abort', end)
        skipWait = () => {}
        resolve()
      }
      signal.addEventListener('abort', end)
      skipWait = end
    })
  }

  async function run() {
    let attempt = 1
    while (!signal.aborted) {
      parts.onState({ phase: 'connecting', attempt })
      const began = now()
      const outcome = await connectOnce()
      if (signal.aborted) break
      if (outcome === 'signed-out') {
        parts.onSignedOut()
        break
      }
      if (outcome === 'deaf') return parts.onState({ phase: 'deaf' })
      if (outcome === 'served' && now() - began > 10_000) attempt = 1
      const delay = backoffDelay(attempt, random, eventBackoff)
      parts.onState({ phase: 'waiting', attempt, retryAt: now() + delay })
      await wait(delay)
      attempt += 1
    }
    parts.onState({ phase: 'closed' })
  }

  return { wake: () => skipWait(), done: run() }
}

/** Safari has no async iteration of streams. The signal ends the reading even where the body does not know of it. */
export async function* streamOf(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel)
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    signal.removeEventListener('abort', cancel)
    cancel()
  }
}

function readEvent(data: string): LiveEvent | null {
  try {
    const value: unknown = JSON.parse(data)
    return typeof value === 'object' && value !== null && 'type' in value ? (value as LiveEvent) : null
  } catch {
    return null
  }
}
