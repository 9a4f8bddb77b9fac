/**
 * Writes an answer whose body streams, at the pace of its reader. A body that breaks off breaks the connection, so that nobody takes the
 * part for the whole; a reader that leaves ends the body.
 */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { Log } from '../platform.ts'

export async function streamAnswer(
  answer: Response,
  outgoing: ServerResponse,
  env: { log: Log; ending: AbortSignal },
): Promise<void> {
  const { log, ending } = env
  const cookies = answer.headers.getSetCookie()
  outgoing.writeHead(answer.status, {
    ...Object.fromEntries(answer.headers),
    ...(cookies.length > 0 ? { 'set-cookie': cookies } : {}),
  })
  if (!answer.body) return void outgoing.end()
  const reader = answer.body.getReader()
  const left = new AbortController()
  outgoing.on('error', () => {})
  outgoing.once('close', () => {
    left.abort()
    reader.cancel(new Error('the client left')).catch(() => {})
  })
  // Events have no end of their own: without this, whoever listens would hold up every shutdown.
  const endless = answer.headers.get('content-type')?.startsWith('text/event-stream') ?? false
  const stop = () => void outgoing.end()
  if (endless) ending.addEventListener('abort', stop, { once: true })
  outgoing.once('close', () => ending.removeEventListener('abort', stop))
  // The head must not wait for the first byte of a log or an event.
  outgoing.flushHeaders()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || left.signal.aborted) break
      if (!outgoing.write(value)) await once(outgoing, 'drain', { signal: left.signal })
    }
    outgoing.end()
  } catch (error) {
    if (!left.signal.aborted) log.info('answer_cut', { message: String(error) })
    outgoing.destroy()
  }
}
