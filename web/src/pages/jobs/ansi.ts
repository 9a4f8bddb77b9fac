/**
 * Colours of a terminal as spans of text. Only what sets a look (SGR) means anything here; every other sequence is dropped. A look goes on
 * over line ends until it is reset, so each line begins with the one the last line ended with. Pure.
 */
import { safeText } from '../../format/safe-text.ts'

export interface Look {
  /** `red` … of the 16, or `#rrggbb`. */
  ink: string | null
  paper: string | null
  bold: boolean
  faint: boolean
  under: boolean
}

export const plainLook: Look = { ink: null, paper: null, bold: false, faint: false, under: false }

export interface Span {
  text: string
  look: Look
}

const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white']
const bright = (index: number) => (index < 8 ? names[index] : `bright-${names[index - 8]}`) ?? null
const sgr = /\x1b\[([0-9;:]*)m/g

export function spansOf(line: string, start: Look): { spans: Span[]; end: Look } {
  const spans: Span[] = []
  let look = start
  let from = 0
  const take = (to: number) => {
    const text = safeText(line.slice(from, to))
    if (text) spans.push({ text, look })
  }
  for (const match of line.matchAll(sgr)) {
    take(match.index)
    look = next(look, match[1] ?? '')
    from = match.index + match[0].length
  }
  take(line.length)
  return { spans, end: look }
}

function next(look: Look, codes: string): Look {
  const list = codes === '' ? [0] : codes.split(/[;:]/).map(Number)
  let result = look
  for (let at = 0; at < list.length; at++) {
    const code = list[at] ?? 0
    if (code === 0) result = plainLook
    else if (code === 1) result = { ...result, bold: true }
    else if (code === 2) result = { ...result, faint: true }
    else if (code === 4) result = { ...result, under: true }
    else if (code === 22) result = { ...result, bold: false, faint: false }
    else if (code === 24) result = { ...result, under: false }
    else if (code === 39) result = { ...result, ink: null }
    else if (code === 49) result = { ...result, paper: null }
    else if (code >= 30 && code <= 37) result = { ...result, ink: bright(code - 30) }
    else if (code >= 40 && code <= 47) result = { ...result, paper: bright(code - 40) }
    else if (code >= 90 && code <= 97) result = { ...result, ink: bright(code - 82) }
    else if (code >= 100 && code <= 107) result = { ...result, paper: bright(code - 92) }
    else if (code === 38 || code === 48) {
      const { colour, used } = extended(list.slice(at + 1))
      at += used
      result = code === 38 ? { ...result, ink: colour } : { ...result, paper: colour }
    }
  }
  return result
}

/** `5;n` of 256, `2;r;g;b`. */
function extended(codes: readonly number[]): { colour: string | null; used: number } {
  const [mode, ...rest] = codes
  if (mode === 5) return { colour: of256(rest[0] ?? 0), used: 2 }
  if (mode === 2) return { colour: hex(rest.slice(0, 3)), used: 4 }
  return { colour: null, used: codes.length }
}

function of256(index: number): string | null {
  if (index < 16) return bright(index)
  if (index > 255) return null
  if (index >= 232) return hex(Array(3).fill(8 + (index - 232) * 10))
  const cube = index - 16
  return hex([Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(step => (step === 0 ? 0 : 55 + step * 40)))
}

function hex(parts: readonly number[]): string | null {
  if (parts.length !== 3 || parts.some(part => !Number.isInteger(part) || part < 0 || part > 255)) return null
  return `#${parts.map(part => part.toString(16).padStart(2, '0')).join('')}`
}
