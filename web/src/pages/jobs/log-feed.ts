/** Reads a job's log as it grows, and goes on where it broke off: nothing twice, nothing left out. */
import { ApiError, messageOf } from '../../api/api-error.ts'
import { backoffDelay, eventBackoff } from '../../live/backoff.ts'
import { createEventParser } from '../../live/event-parser.ts'
import { streamOf } from '../../live/event-stream.ts'
import type { LogPiece } from './log-lines.ts'

export type FeedState = { word: 'opening' | 'following' | 'ended' } | { word: 'waiting' | 'failed'; why: string }

export interface FeedParts {
  open: (lastEventId: string | null, signal: AbortSignal) => Promise<Response>
  onPieces: (pieces: readonly LogPiece[]) => void
  onState: (state: FeedState) => void
  signal: AbortSignal
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>
  random?: () => number
}

export async function feedLog({
  open,
  onPieces,
  onState,
  signal,
  sleep = pause,
  random = Math.random,
}: FeedParts): Promise<void> {
  let lastEventId: string | null = null
  let failures = 0
  onState({ word: 'opening' })
  while (!signal.aborted) {
    let why = 'The connection was lost.'
    try {
      const response = await open(lastEventId, signal)
      onState({ word: 'following' })
      const parser = createEventParser()
      const decoder = new TextDecoder()
      if (!response.body) return
      for await (const chunk of streamOf(response.body, signal)) {
        const pieces: LogPiece[] = []
        let ended = false
        for (const event of parser.push(decoder.decode(chunk, { stream: true }))) {
          if (event.id) lastEventId = event.id
          if (event.event === 'end') ended = true
          else if (event.event === 'log' || event.event === 'gap') pieces.push(pieceOf(event.event, event.data))
          failures = 0
        }
        if (pieces.length > 0) onPieces(pieces)
        if (ended) return onState({ word: 'ended' })
      }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ApiError && error.status >= 400 && error.status < 500 && error.status !== 429)
        return onState({ word: 'failed', why: messageOf(error) })
      why = messageOf(error)
    }
    if (signal.aborted) return
    failures += 1
    onState({ word: 'waiting', why })
    await sleep(backoffDelay(failures, random, eventBackoff), signal)
  }
}

function pieceOf(kind: string, data: string): LogPiece {
  const { stream = '', text = '', bytes = -1 } = JSON.parse(data) as { stream?: string; text?: string; bytes?: number }
  return kind === 'gap' ? { stream, gap: bytes } : { stream, text }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done, { once: true })
    function done() {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
