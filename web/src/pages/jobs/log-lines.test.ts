import fc from 'fast-check'
import { expect, test } from 'vitest'
import { appendPieces, blockLines, closeLog, emptyLog, findLines, type LogText } from './log-lines.ts'

const plain = (log: LogText) => log.blocks.flatMap(block => block.lines.map(line => line.plain))

test('however it is cut, the same text gives the same lines and colours', () => {
  const text = 'one\n\x1b[31mtwo\nthree\x1b[0m\r\n\nlast'
  const whole = closeLog(appendPieces(emptyLog, [{ stream: '', text }]))
  fc.assert(
    // Not inside an escape sequence: the API never cuts one.
    fc.property(fc.array(fc.constantFrom(2, 4, 10, 12, 16, 20, 24), { maxLength: 6 }), cuts => {
      const at = [0, ...cuts.sort((a, b) => a - b).filter(cut => cut < text.length), text.length]
      const pieces = at.slice(1).map((end, index) => ({ stream: '', text: text.slice(at[index], end) }))
      if (pieces.some(piece => /\x1b(\[[0-9]*)?$/.test(piece.text))) return
      const log = closeLog(pieces.reduce((log, piece) => appendPieces(log, [piece]), emptyLog))
      expect(log.blocks).toEqual(whole.blocks)
    }),
  )
  expect(plain(whole)).toEqual(['one', 'two', 'three', '', 'last'])
})

test('streams do not finish each other’s lines', () => {
  const log = appendPieces(emptyLog, [
    { stream: 'a', text: 'half ' },
    { stream: 'b', text: 'whole\n' },
    { stream: 'a', text: 'done\n' },
  ])
  expect(log.blocks[0]?.lines.map(line => [line.stream, line.plain])).toEqual([
    ['b', 'whole'],
    ['a', 'half done'],
  ])
})

test('a gap stands where it is, and ends the colour before it', () => {
  const log = appendPieces(emptyLog, [
    { stream: '', text: '\x1b[31mred\nopen' },
    { stream: '', gap: 17 },
    { stream: '', text: 'after\n' },
  ])
  expect(plain(log)).toEqual(['red', 'open', '17 bytes of output were not kept', 'after'])
  expect(log.blocks[0]?.lines.at(-1)?.spans[0]?.look.ink).toBeNull()
})

test('only the newest are kept, in whole blocks, and blocks that stay are the same objects', () => {
  const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => `line ${from + index}\n`).join('')
  const first = appendPieces(emptyLog, [{ stream: '', text: many(0, 1000) }], 500)
  const second = appendPieces(first, [{ stream: '', text: many(1000, 10) }], 500)
  expect(second.count - second.dropped).toBeLessThan(500 + 2 * blockLines)
  expect(plain(second).at(-1)).toBe('line 1009')
  expect(first.blocks.filter(block => second.blocks.includes(block)).length).toBeGreaterThan(0)
})

test('a line that never ends is cut', () => {
  const log = appendPieces(emptyLog, [{ stream: '', text: 'x'.repeat(20_000) }])
  expect([log.count, log.open['']?.text]).toEqual([1, ''])
})

test('found without regard to case or colour', () => {
  const log = appendPieces(emptyLog, [{ stream: '', text: 'ok\nER\x1b[31mROR\x1b[0m here\nok\nerror\n' }])
  expect([findLines(log, 'Error'), findLines(log, '')]).toEqual([[1, 3], []])
})
