import { expect, test } from 'vitest'
import { plainLook, spansOf } from './ansi.ts'

const texts = (line: string) => spansOf(line, plainLook).spans.map(span => [span.text, span.look.ink])

test('colours end where they are reset, and go on over line ends until then', () => {
  expect(texts('a \x1b[31mred\x1b[0m b')).toEqual([
    ['a ', null],
    ['red', 'red'],
    [' b', null],
  ])
  const first = spansOf('\x1b[1;32mok', plainLook)
  expect(spansOf('still', first.end).spans[0]?.look).toMatchObject({ ink: 'green', bold: true })
})

test.each([
  ['\x1b[91mx', 'bright-red'],
  ['\x1b[38;5;1mx', 'red'],
  ['\x1b[38;5;9mx', 'bright-red'],
  ['\x1b[38;5;196mx', '#ff0000'],
  ['\x1b[38;5;244mx', '#808080'],
  ['\x1b[38;2;1;2;3mx', '#010203'],
  ['\x1b[38;2;1;2;999mx', null],
  ['\x1b[38;5;999mx', null],
  ['\x1b[38mx', null],
  ['\x1b[;mx', null],
])('%j is %s', (line, ink) => {
  expect(texts(line)).toEqual([['x', ink]])
})

test('everything else that a terminal would obey is gone', () => {
  expect(texts('\x1b[2Ja\x1b]52;c;aGk=\x07b\x1b[5;5Hc\x1b]8;;javascript:alert(1)\x1b\\d')).toEqual([['abcd', null]])
})
