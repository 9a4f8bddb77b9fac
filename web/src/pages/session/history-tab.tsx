/** The phases of its life and what was told of it, newest first. */
import type { LiveEvent, Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { safeLine } from '../../format/safe-text.ts'
import { wordFor } from '../../format/session-words.ts'
import { clockTime, fullDate } from '../../format/time.ts'
import { sameList, useStore } from '../../live/observable.ts'
import { Skeleton } from '../../parts/states.tsx'
import { useAsked } from '../sessions/catalogue.ts'
import { Timeline } from './timeline.tsx'

export function HistoryTab({ session }: { session: Session }) {
  const { api, live } = useApp()
  const asked = useAsked<readonly LiveEvent[]>([], async signal => (await api.sessionEvents(session.id, signal)).data, session.id)
  const fresh = useStore(
    live.events,
    list => list.filter(event => event.session_id === session.id || event.session?.id === session.id),
    sameList,
  )
  const events = newestFirstOnce([...asked.value, ...fresh])
  return (
    <div className="history">
      <h3>Timeline</h3>
      {session.phases.length > 0 ? <Timeline session={session} /> : <p className="field-note">Nothing has happened yet.</p>}
      <h3>Events</h3>
      {asked.phase === 'loading' && events.length === 0 && <Skeleton height="60px" />}
      {asked.phase === 'failed' && events.length === 0 && <p className="field-note">Earlier events could not be loaded.</p>}
      {asked.phase === 'ready' && events.length === 0 && <p className="field-note">No events yet.</p>}
      <ul className="events">
        {events.map(event => (
          <li key={event.id}>
            <time dateTime={event.created_at} title={fullDate(event.created_at)}>
              {clockTime(event.created_at)}
            </time>
            <span>{eventWords(event)}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}

/** Exported for its test. Ids sort by time, so they are the order. */
export function newestFirstOnce(events: readonly LiveEvent[]): LiveEvent[] {
  return [...new Map(events.map(event => [event.id, event])).values()].sort((a, b) => (a.id < b.id ? 1 : -1))
}

function eventWords(event: LiveEvent): string {
  const message = [event.message, event.reason, event.detail].find(value => typeof value === 'string' && value)
  if (typeof message === 'string') return safeLine(message)
  if (event.session) {
    const reason = event.session.status_reason ? `: ${safeLine(event.session.status_reason)}` : ''
    return `${event.type === 'session.created' ? 'Asked for' : wordFor(event.session.status).word}${reason}`
  }
  return safeLine(event.type.replaceAll('.', ' '))
}
