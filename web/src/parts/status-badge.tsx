import type { Tone } from '../format/session-words.ts'

/** A word with a mark whose shape, not only its colour, tells the tone. */
export function StatusBadge({ word, tone, moving = false }: { word: string; tone: Tone; moving?: boolean }) {
  return (
    <span className="status" data-tone={tone} data-moving={moving || undefined}>
      <svg className="status-mark" width="10" height="10" viewBox="0 0 10 10" aria-hidden="true" focusable="false">
        {tone === 'good' && <circle cx="5" cy="5" r="4" className="fill" />}
        {tone === 'wait' && <circle cx="5" cy="5" r="3.5" className="arc" />}
        {tone === 'bad' && <path d="M2 2l6 6M8 2L2 8" className="line" />}
        {tone === 'quiet' && <circle cx="5" cy="5" r="3.25" className="line" />}
        {tone === 'warn' && <path d="M5 1.2L9 8.7H1z" className="fill" />}
      </svg>
      {word}
    </span>
  )
}
