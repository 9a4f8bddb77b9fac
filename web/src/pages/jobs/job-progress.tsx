import type { Job } from '../../api/contract.ts'

/** Without a number it only says that something goes on: then there is nothing to draw. */
export function ProgressBar({ progress }: { progress: NonNullable<Job['progress']> }) {
  const { percent } = progress
  if (percent === null) return null
  return (
    <div
      className="meter-track job-progress"
      role="progressbar"
      aria-label="Progress"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent)}
    >
      <span style={{ inlineSize: `${Math.min(100, Math.max(0, percent))}%` }} />
    </div>
  )
}
