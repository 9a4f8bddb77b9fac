import { memo } from 'react'
import type { Session } from '../../api/contract.ts'
import { phaseWord, reasonOf, type SessionAction, titleOf, wordFor } from '../../format/session-words.ts'
import { Icon } from '../../parts/icons.tsx'
import { Menu, type MenuItem } from '../../parts/menu.tsx'
import { Age, Ago, TimeLeft } from '../../parts/moments.tsx'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { Link } from '../../router.tsx'
import { Thumbnail } from './thumbnail.tsx'

interface CardProps {
  session: Session
  clusterName: string
  templateName: string
  mayWrite: boolean
  onAction: (action: SessionAction, session: Session) => void
}

const actionItems: Record<Exclude<SessionAction, 'open'>, Omit<MenuItem, 'onPick'>> = {
  extend: { label: 'Extend', icon: 'clock' },
  restart: { label: 'Restart', icon: 'restart' },
  stop: { label: 'Stop, keep files', icon: 'stop' },
  start: { label: 'Start again', icon: 'start' },
  again: { label: 'New one like it', icon: 'plus' },
  end: { label: 'End and delete', icon: 'end', danger: true },
}

export function menuFor(session: Session, onAction: CardProps['onAction']): MenuItem[] {
  return wordFor(session.status).actions.flatMap(action =>
    action === 'open' ? [] : [{ ...actionItems[action], onPick: () => onAction(action, session) }],
  )
}

export const SessionCard = memo(function SessionCard({ session, clusterName, templateName, mayWrite, onAction }: CardProps) {
  const word = wordFor(session.status)
  const title = titleOf(session)
  const reason = reasonOf(session)
  const href = `/sessions/${encodeURIComponent(session.id)}`
  return (
    <li className="card" data-tone={word.tone} data-status={session.status}>
      <Link to={href} className="card-shot" tabIndex={-1} aria-hidden="true">
        {session.status === 'running' && !session.headless ? (
          <Thumbnail id={session.id} generation={session.generation} title={title} />
        ) : (
          <Plate session={session} reason={reason} />
        )}
      </Link>
      <div className="card-text">
        <h2 className="card-title">
          <Link to={href} title={title}>
            {title}
          </Link>
        </h2>
        <p className="card-meta">
          <span className="card-template">{templateName}</span>
          {clusterName && <span className="card-cluster">{clusterName}</span>}
          <span className="card-age">
            {session.ended_at ? (
              <>
                ended <Ago at={session.ended_at} />
              </>
            ) : (
              <Age at={session.created_at} />
            )}
          </span>
        </p>
        {reason && <p className="card-reason">{reason}</p>}
      </div>
      <div className="card-state">
        <StatusBadge word={word.word} tone={word.tone} moving={word.moving} />
        {session.status === 'running' && <TimeLeft session={session} short />}
      </div>
      {mayWrite && (
        <div className="card-menu">
          <Menu label={`Actions for ${title}`} items={menuFor(session, onAction)} />
        </div>
      )}
    </li>
  )
})

/** Where there is no screen: how far it is, or why it is not. */
function Plate({ session, reason }: { session: Session; reason: string }) {
  const word = wordFor(session.status)
  const phase = session.phases.at(-1)
  if (session.status === 'running') {
    return (
      <div className="plate">
        <Icon name="api" size={22} />
        <span>Headless: no screen</span>
      </div>
    )
  }
  return (
    <div className="plate" data-tone={word.tone}>
      {word.moving ? (
        <span className="plate-ring" aria-hidden="true" />
      ) : (
        <Icon name={plateIcon[word.tone] ?? 'stop'} size={22} />
      )}
      <span>
        {session.status === 'starting' && phase && !session.status_reason ? phaseWord(phase.phase) : reason || word.word}
      </span>
    </div>
  )
}

const plateIcon = { bad: 'warn', warn: 'warn', quiet: 'stop', good: 'check', wait: 'clock' } as const

export function CardSkeleton() {
  return (
    <li className="card card-skeleton" aria-hidden="true">
      <span className="card-shot skeleton" />
      <div className="card-text">
        <span className="skeleton" style={{ width: '62%', height: '16px' }} />
        <span className="skeleton" style={{ width: '40%', height: '12px' }} />
      </div>
    </li>
  )
}
