/**
 * Text that came out of a session (logs, names, reasons, clipboard) as plain readable text. React already keeps it from being markup;
 * this keeps it from being confusing: terminal escapes, control characters and direction overrides that could dress one line up as another.
 */
// CSI, OSC (ended by BEL or ST), then other two-character escapes.
const escapes = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?/g
const controls = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g
const overrides = /[\u202a-\u202e\u2066-\u2069\u200e\u200f]/g

export function safeText(raw: string): string {
  return raw
    .replace(escapes, '')
    .replace(/\r(?!\n)/g, '\n')
    .replaceAll('\r\n', '\n')
    .replace(controls, '\u00b7')
    .replace(overrides, '')
}

/** One line: names and reasons. */
export function safeLine(raw: string): string {
  return safeText(raw).replace(/\s+/g, ' ').trim()
}

/** The last `keep` lines of a growing text; an unfinished line is continued by the next piece. */
export interface LineBuffer {
  lines: readonly string[]
  partial: string
  dropped: number
}

export const emptyLines: LineBuffer = { lines: [], partial: '', dropped: 0 }

export function appendLines(buffer: LineBuffer, raw: string, keep: number): LineBuffer {
  const pieces = (buffer.partial + raw).split('\n')
  const last = pieces.pop() ?? ''
  // A program that never ends its line must not grow without bound.
  const partial = last.length > 16_384 ? last.slice(-16_384) : last
  const all = [...buffer.lines, ...pieces.map(safeText)]
  const over = Math.max(0, all.length - keep)
  return { lines: over ? all.slice(over) : all, partial, dropped: buffer.dropped + over }
}
