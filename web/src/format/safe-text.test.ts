import { expect, test } from 'vitest'
import { appendLines, emptyLines, safeLine, safeText } from './safe-text.ts'

test.each([
  ['colours', '\x1b[1;31mred\x1b[0m text', 'red text'],
  ['title by OSC', '\x1b]0;owned\x07plain', 'plain'],
  ['OSC 52 ended by ST', 'a\x1b]52;c;aGVsbG8=\x1b\\b', 'ab'],
  ['cursor moves', '\x1b[2J\x1b[Hhome', 'home'],
  ['C1 CSI', '\x9b31mx', '·31mx'],
  ['bell and nul', 'a\x07b\x00c', 'a·b·c'],
  ['override', 'user\u202etxt.exe', 'usertxt.exe'],
  ['markup stays text', '<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
  ['lone carriage return', '10%\r20%\r\ndone', '10%\n20%\ndone'],
  ['tabs stay', 'a\tb', 'a\tb'],
])('%s', (_name, raw, shown) => {
  expect(safeText(raw)).toBe(shown)
})

test('an escape cut off at the end swallows nothing that follows', () => {
  expect(safeText('x\x1b')).toBe('x')
  expect(safeText('x\x1b[')).not.toContain('\x1b')
})

test('safeLine is one line', () => {
  expect(safeLine('  two\nlines\t here ')).toBe('two lines here')
})

test('lines split anywhere come out whole', () => {
  const text = 'first\nsecond \x1b[32mgreen\x1b[0m\nthird\n'
  for (let cut = 0; cut <= text.length; cut++) {
    const buffer = appendLines(appendLines(emptyLines, text.slice(0, cut), 100), text.slice(cut), 100)
    expect(buffer.lines).toEqual(['first', 'second green', 'third'])
    expect(buffer.partial).toBe('')
  }
})

test('only the last lines are kept, and the loss is counted', () => {
  const buffer = appendLines(emptyLines, 'a\nb\nc\nd\n', 2)
  expect(buffer).toEqual({ lines: ['c', 'd'], partial: '', dropped: 2 })
})

test('a line without end is bounded', () => {
  const buffer = appendLines(emptyLines, 'x'.repeat(50_000), 10)
  expect(buffer.partial.length).toBe(16_384)
})
