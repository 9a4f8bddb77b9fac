/**
 * `Prefer: wait=N`: holds the answer until the session runs or is final, at most N seconds, then answers what is true. Woken by the
 * clock only: the row is the truth on every platform; the interval grows with the wait.
 */
import type { Ctx } from '../context.ts'
import { invalid } from '../problem.ts'
import { getSession } from './read.ts'
import type { Session } from './schema.ts'

/** Seconds asked for, 0..60; 0 when the header is absent. Other preferences are ignored, as RFC 7240 says. */
export function preferredWait(header: string | undefined): number {
  const match = /(?:^|[,;\s])wait\s*=\s*"?(-?\d+)"?/i.exec(header ?? '')
  if (!match) return 0
  const seconds = Number(match[1])
  if (seconds < 0 || seconds > 60) throw invalid('Prefer', 'Prefer: wait=N takes 0 to 60 seconds.')
  return seconds
}

const settled = (session: Session) => !['queued', 'starting', 'unreachable'].includes(session.status)

export async function waitUntilSettled(ctx: Ctx, session: Session, seconds: number, signal: AbortSignal): Promise<Session> {
  const until = performance.now() + seconds * 1000
  let current = session
  let pause = 50
  while (!settled(current) && performance.now() < until && !signal.aborted) {
    await pauseFor(Math.min(pause, until - performance.now()), signal)
    pause = Math.min(pause * 1.3, 500)
    current = await getSession(ctx, session.id)
  }
  return current
}

export function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, Math.max(0, ms))
    signal.addEventListener('abort', done)
  })
}
