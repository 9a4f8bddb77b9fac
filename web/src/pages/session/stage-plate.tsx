/** In place of the screen: the way to it, or why there is none. */
import type { ReactNode } from 'react'
import type { Session } from '../../api/contract.ts'
import { reasonOf, wordFor } from '../../format/session-words.ts'
import { PortholeArt, type Weather } from '../../parts/porthole-art.tsx'
import { Timeline } from './timeline.tsx'

const weather: Record<string, Weather> = {
  failed: 'night',
  unreachable: 'fog',
  queued: 'fog',
  stopped: 'night',
  expired: 'night',
}
const headings: Record<string, string> = {
  queued: 'Waiting in line',
  starting: 'Starting',
  running: 'No screen: this one is headless',
  stopping: 'Stopping',
  stopped: 'Stopped',
  failed: 'It failed',
  expired: 'Its time was up',
  unreachable: 'Its cluster is out of sight',
}

export function StagePlate({ session, actions }: { session: Session; actions: ReactNode }) {
  const word = wordFor(session.status)
  const reason =
    session.status === 'running' ? 'Drive it with Playwright or CDP: its addresses are under Connect.' : reasonOf(session)
  return (
    <div className="stage-plate" data-tone={word.tone} role="status">
      <PortholeArt weather={weather[session.status] ?? 'calm'} className={word.moving ? 'porthole-moving' : ''} />
      <h2>{headings[session.status] ?? word.word}</h2>
      {reason && <p className="stage-reason">{reason}</p>}
      {session.status === 'starting' && session.phases.length > 0 && <Timeline session={session} compact />}
      {actions && <div className="empty-action">{actions}</div>}
    </div>
  )
}
