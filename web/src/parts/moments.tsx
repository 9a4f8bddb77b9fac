/** Times that tick. Each is its own small component, so that a second's tick redraws a word and not a page. */

import type { Session } from '../api/contract.ts'
import { useApp } from '../app-context.tsx'
import { age, ago, countdown, fullDate, nearestDeadline } from '../format/time.ts'
import { useStore } from '../live/observable.ts'

export function Ago({ at }: { at: string | null | undefined }) {
  const { clock } = useApp()
  const words = useStore(clock.ticks, now => ago(at, now))
  return (
    <time dateTime={at ?? undefined} title={fullDate(at)}>
      {words}
    </time>
  )
}

export function Age({ at }: { at: string | null | undefined }) {
  const { clock } = useApp()
  const words = useStore(clock.ticks, now => age(at, now))
  return (
    <time dateTime={at ?? undefined} title={fullDate(at)}>
      {words}
    </time>
  )
}

export type DeadlineSource = Pick<Session, 'expires_at' | 'idle_expires_at'>

export function TimeLeft({ session, short = false }: { session: DeadlineSource; short?: boolean }) {
  const { clock } = useApp()
  const text = useStore(clock.ticks, now => {
    const deadline = nearestDeadline(session, now)
    if (!deadline) return 'no end set'
    if (deadline.ms <= 0) return deadline.kind === 'idle' ? 'idle, ending' : 'ending now'
    const left = countdown(deadline.ms)
    if (short) return left
    return deadline.kind === 'idle' ? `${left} left if idle` : `${left} left`
  })
  const tone = useStore(clock.ticks, now => {
    const deadline = nearestDeadline(session, now)
    return deadline === null ? 'none' : deadline.ms < 60_000 ? 'last' : deadline.ms < 5 * 60_000 ? 'soon' : 'ample'
  })
  const title = session.expires_at ? `Ends ${fullDate(session.expires_at)}` : 'Ends only when nobody uses it, or when ended'
  return (
    <span className="time-left" data-tone={tone} title={title}>
      {text}
    </span>
  )
}
