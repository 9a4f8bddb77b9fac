import { safeText } from '../../format/safe-text.ts'

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
