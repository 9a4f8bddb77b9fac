/** What a manifest or a deploy would change, or has changed: thing by thing, with its diff. */
import { safeLine } from '../../format/safe-text.ts'
import type { Tone } from '../../format/session-words.ts'
import { StatusBadge } from '../../parts/status-badge.tsx'
import { DiffView } from './diff-view.tsx'
import type { Change } from './works-draft.ts'

const words: Record<string, { word: string; tone: Tone }> = {
  create: { word: 'New', tone: 'good' },
  update: { word: 'Changes', tone: 'warn' },
  replace: { word: 'Replaced', tone: 'warn' },
  delete: { word: 'Removed', tone: 'bad' },
  unchanged: { word: 'As it is', tone: 'quiet' },
}

export function ChangesView({ changes }: { changes: readonly Change[] }) {
  if (changes.length === 0) return <p className="field-note">Nothing changes.</p>
  return (
    <ul className="job-changes">
      {changes.map(one => {
        const { word, tone } = words[one.change] ?? { word: safeLine(one.change), tone: 'quiet' as const }
        return (
          <li key={`${one.kind} ${one.name}`}>
            <header>
              <span>
                {safeLine(one.kind)} <strong className="mono">{safeLine(one.name)}</strong>
              </span>
              <StatusBadge word={word} tone={tone} />
            </header>
            {one.diff && <DiffView text={one.diff} />}
          </li>
        )
      })}
    </ul>
  )
}
