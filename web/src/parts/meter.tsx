import { share } from '../format/quantity.ts'

/** How much of something is taken. Without a limit it is only said. */
export interface MeterProps {
  name: string
  used: number | null | undefined
  limit: number | null | undefined
  show: (value: number) => string
  /** Also say that there is no limit. */
  endless?: boolean
}

export function Meter({ name, used, limit, show, endless = false }: MeterProps) {
  if (used === null || used === undefined) return null
  const part = share(used, limit)
  return (
    <div className="meter">
      <div className="meter-words">
        <span>{name}</span>
        <span>
          <strong>{show(used)}</strong>
          {part !== null ? ` of ${show(limit ?? 0)}` : endless ? ', no limit' : ''}
        </span>
      </div>
      {part !== null && (
        // biome-ignore lint/a11y/useSemanticElements: a meter element cannot be styled alike in all browsers
        <div
          className="meter-track"
          role="meter"
          aria-label={name}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(part * 100)}
          data-full={part >= 0.9 || undefined}
        >
          <span style={{ inlineSize: `${Math.round(part * 100)}%` }} />
        </div>
      )}
    </div>
  )
}
