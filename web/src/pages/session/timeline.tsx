/** The phases of this generation with the time each took. */
import type { Session } from '../../api/contract.ts'
import { phaseWord, wordFor } from '../../format/session-words.ts'
import { clockTime, fullDate, lap } from '../../format/time.ts'

export function Timeline({ session, compact = false }: { session: Session; compact?: boolean }) {
  const word = wordFor(session.status)
  const all = lifeOf(session)
  const phases = compact ? all.slice(-5) : all
  return (
    <ol className="timeline" data-compact={compact || undefined}>
      {phases.map((phase, index) => {
        const before = all[all.indexOf(phase) - 1]
        const took = before ? Date.parse(phase.at) - Date.parse(before.at) : null
        const last = index === phases.length - 1
        return (
          <li
            key={`${phase.phase} ${phase.at}`}
            data-last={last || undefined}
            data-tone={last ? word.tone : undefined}
            data-moving={(last && word.moving) || undefined}
          >
            <span className="timeline-word">{phaseWord(phase.phase)}</span>
            {took !== null && <span className="timeline-lap">+{lap(took)}</span>}
            {!compact && (
              <time className="timeline-at" dateTime={phase.at} title={fullDate(phase.at)}>
                {clockTime(phase.at)}
              </time>
            )}
          </li>
        )
      })}
    </ol>
  )
}

/** The phases, and how it ended where they do not say so themselves. Exported for its test. */
export function lifeOf(session: Pick<Session, 'phases' | 'status' | 'ended_at'>): Session['phases'] {
  const { phases, status, ended_at } = session
  if (!ended_at || wordFor(status).live || phases.at(-1)?.phase === status) return phases
  return [...phases, { phase: status, at: ended_at }]
}
