/** The phases of this generation with the time each took. */
import type { Session } from '../../api/contract.ts'
import { phaseWord, wordFor } from '../../format/session-words.ts'
import { clockTime, fullDate, lap } from '../../format/time.ts'

export function Timeline({ session, compact = false }: { session: Session; compact?: boolean }) {
  const word = wordFor(session.status)
  const phases = compact ? session.phases.slice(-5) : session.phases
  return (
    <ol className="timeline" data-compact={compact || undefined}>
      {phases.map((phase, index) => {
        const before = session.phases[session.phases.indexOf(phase) - 1]
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
