/** A growing log as blocks of lines, so that only the last block is drawn anew. Pure; keeps the newest lines only. */
import { type Look, plainLook, type Span, spansOf } from './ansi.ts'

export interface LogLine {
  /** Counts from the beginning of the log; never changes. */
  number: number
  stream: string
  spans: readonly Span[]
  /** For searching. */
  plain: string
  /** Output that was not kept, said in words. */
  gap: boolean
}

export interface LogBlock {
  id: number
  lines: readonly LogLine[]
}

export interface LogText {
  blocks: readonly LogBlock[]
  count: number
  dropped: number
  /** By stream: the unfinished line, and the look it begins with. */
  open: Readonly<Record<string, { text: string; look: Look }>>
}

export const emptyLog: LogText = { blocks: [], count: 0, dropped: 0, open: {} }

export const blockLines = 200
const longestLine = 16_384

export type LogPiece = { stream: string; text: string } | { stream: string; gap: number }

export function appendPieces(log: LogText, pieces: readonly LogPiece[], keep = 10_000): LogText {
  const open = { ...log.open }
  const fresh: LogLine[] = []
  let count = log.count
  const add = (stream: string, spans: readonly Span[], gap: boolean) => {
    fresh.push({ number: count, stream, spans, plain: spans.map(span => span.text).join(''), gap })
    count += 1
  }
  for (const piece of pieces) {
    const { stream } = piece
    const state = open[stream] ?? { text: '', look: plainLook }
    if ('gap' in piece) {
      if (state.text) add(stream, spansOf(state.text, state.look).spans, false)
      add(stream, [{ text: gapWords(piece.gap), look: plainLook }], true)
      open[stream] = { text: '', look: plainLook }
      continue
    }
    const lines = (state.text + piece.text).split('\n')
    let last = lines.pop() ?? ''
    let { look } = state
    for (const line of lines) {
      const { spans, end } = spansOf(line.replace(/\r$/, '').slice(0, longestLine), look)
      add(stream, spans, false)
      look = end
    }
    // A program that never ends its line must not grow without bound.
    if (last.length > longestLine) {
      const { spans, end } = spansOf(last, look)
      add(stream, spans, false)
      look = end
      last = ''
    }
    open[stream] = { text: last, look }
  }
  return trimmed({ blocks: packed(log.blocks, fresh), count, dropped: log.dropped, open }, keep)
}

/** At the end of the log the unfinished lines are lines, too. */
export function closeLog(log: LogText): LogText {
  const pieces = Object.entries(log.open).flatMap(([stream, state]) => (state.text ? [{ stream, text: '\n' }] : []))
  return pieces.length > 0 ? appendPieces(log, pieces) : log
}

function packed(blocks: readonly LogBlock[], fresh: readonly LogLine[]): LogBlock[] {
  const out = [...blocks]
  let rest = fresh
  const last = out.at(-1)
  if (last && last.lines.length < blockLines) {
    const room = blockLines - last.lines.length
    out[out.length - 1] = { id: last.id, lines: [...last.lines, ...rest.slice(0, room)] }
    rest = rest.slice(room)
  }
  for (let at = 0; at < rest.length; at += blockLines) {
    const lines = rest.slice(at, at + blockLines)
    out.push({ id: lines[0]?.number ?? 0, lines })
  }
  return out
}

/** Whole blocks go, so that those that stay need not be drawn anew. */
function trimmed(log: LogText, keep: number): LogText {
  let held = log.count - log.dropped
  let from = 0
  let dropped = log.dropped
  while (from < log.blocks.length - 1) {
    const size = log.blocks[from]?.lines.length ?? 0
    if (held - size < keep) break
    held -= size
    dropped += size
    from += 1
  }
  return from === 0 ? log : { ...log, blocks: log.blocks.slice(from), dropped }
}

const gapWords = (bytes: number) => (bytes < 0 ? 'some output was not kept' : `${bytes} bytes of output were not kept`)

/** Numbers of the lines that hold the words, in order. */
export function findLines(log: LogText, words: string): number[] {
  const wanted = words.toLowerCase()
  if (!wanted) return []
  return log.blocks.flatMap(block =>
    block.lines.filter(line => line.plain.toLowerCase().includes(wanted)).map(line => line.number),
  )
}
