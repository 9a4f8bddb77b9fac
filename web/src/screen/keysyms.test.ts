import { expect, test } from 'vitest'
import { keysym, keysymsOf } from './keysyms.ts'

test('text becomes keys', () => {
  expect(keysymsOf('aÉ€😀\r\n\t')).toEqual([0x61, 0xc9, 0x010020ac, 0x0101f600, keysym.enter, keysym.tab])
})

test('control characters are not typed', () => {
  expect(keysymsOf('a\x1b[31m\x00\x7f\x9b')).toEqual([0x61, 0x5b, 0x33, 0x31, 0x6d])
})
