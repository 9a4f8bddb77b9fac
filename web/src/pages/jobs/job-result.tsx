/** What a job found out. A diff is shown as one; small facts as facts; anything else as it is. */
import { safeLine, safeText } from '../../format/safe-text.ts'

export function ResultView({ result }: { result: Record<string, unknown> }) {
  const entries = Object.entries(result)
  const facts = entries.filter(([, value]) => value === null || ['string', 'number', 'boolean'].includes(typeof value))
  const short = facts.filter(([name, value]) => name !== 'diff' && !String(value).includes('\n'))
  const long = entries.filter(entry => !short.includes(entry))
  return (
    <>
      <h3>Result</h3>
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

/** Lines that begin with + or - in their colours; text that is no diff has none. */
export function DiffView({ text }: { text: string }) {
  return (
    <pre className="job-diff">
      {safeText(text)
        .split('\n')
        .map((line, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines of a text that does not change
          <div key={index} data-line={/^[+-](?![+-]{2} )/.test(line) ? line[0] : undefined}>
            {line || ' '}
          </div>
        ))}
    </pre>
  )
}
