/** The phases of its life and what was told of it, newest first. */
import type { LiveEvent, Session } from '../../api/contract.ts'
import { useApp } from '../../app-context.tsx'
import { clockTime, fullDate } from '../../format/time.ts'
import { sameList, useStore } from '../../live/observable.ts'
import { Skeleton } from '../../parts/states.tsx'
import { useAsked } from '../sessions/catalogue.ts'
import { eventLines } from './event-lines.ts'
import { Timeline } from './timeline.tsx'

export function HistoryTab({ session }: { session: Session }) {
  const { api, live } = useApp()
  const asked = useAsked<readonly LiveEvent[]>([], async signal => (await api.sessionEvents(session.id, signal)).data, session.id)
  const fresh = useStore(
    live.events,
    list => list.filter(event => event.session_id === session.id || event.session?.id === session.id),
    sameList,
  )
  const events = eventLines([...asked.value, ...fresh])
  return (
    <div className="history">
      <h3>Timeline</h3>
      {session.phases.length > 0 ? <Timeline session={session} /> : <p className="field-note">Nothing has happened yet.</p>}
      <h3>Events</h3>
      {asked.phase === 'loading' && events.length === 0 && <Skeleton height="60px" />}
      {asked.phase === 'failed' && events.length === 0 && <p className="field-note">Earlier events could not be loaded.</p>}
      {asked.phase === 'ready' && events.length === 0 && <p className="field-note">No events yet.</p>}
      <ul className="events">
        {events.map(line => (
          <li key={line.id}>
            <time dateTime={line.at} title={fullDate(line.at)}>
              {clockTime(line.at)}
            </time>
            <span className="clamp">{line.words}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
