/** What a job found out. A diff is shown as one; small facts as facts; anything else as it is. */
import { safeLine, safeText } from '../../format/safe-text.ts'
import { ChangesView } from './changes-view.tsx'
import { DiffView } from './diff-view.tsx'
import { changesOf } from './works-draft.ts'

export function ResultView({ result }: { result: Record<string, unknown> }) {
  const changes = changesOf(result)
  const told = changes.length > 0 ? new Set(['changes', 'services']) : new Set()
  const entries = Object.entries(result).filter(([name]) => !told.has(name))
  const facts = entries.filter(([, value]) => value === null || ['string', 'number', 'boolean'].includes(typeof value))
  const short = facts.filter(([name, value]) => name !== 'diff' && !String(value).includes('\n'))
  const long = entries.filter(entry => !short.includes(entry))
  return (
    <>
      <h3>{result.dry_run === true ? 'What would change' : 'Result'}</h3>
      {changes.length > 0 && <ChangesView changes={changes} />}
      {short.length > 0 && (
        <dl className="facts">
          {short.map(([name, value]) => (
            <div key={name}>
              <dt>{safeLine(name).replaceAll('_', ' ')}</dt>
              <dd className="mono">{safeLine(String(value))}</dd>
            </div>
          ))}
        </dl>
      )}
      {long.map(([name, value]) => (
        <section key={name} aria-label={safeLine(name)}>
          <h3>{safeLine(name).replaceAll('_', ' ')}</h3>
          {typeof value === 'string' ? <DiffView text={value} /> : <pre>{safeText(JSON.stringify(value, null, 2))}</pre>}
        </section>
      ))}
    </>
  )
}
