import { expect, test } from 'vitest'
import { readFbs } from './fbs.ts'

const text = (words: string) => [...new TextEncoder().encode(words)]
const file = (...bytes: number[]) => new Uint8Array([...text('FBS 001.001\n'), ...bytes])
const first = [0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 5]
const second = [0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 1, 0]

test('blocks come with their times, without their padding', () => {
  expect(readFbs(file(...first, ...second))).toEqual([
    { at: 5, bytes: new Uint8Array([7, 8]) },
    { at: 256, bytes: new Uint8Array([1, 2, 3, 4]) },
  ])
})

test('a file cut anywhere gives what is whole', () => {
  const whole = file(...first, ...second)
  for (let length = 12; length < whole.length; length++) {
    expect(readFbs(whole.slice(0, length))).toHaveLength(length < 24 ? 0 : 1)
  }
})

test('anything else is refused in words', () => {
  expect(() => readFbs(new Uint8Array(text('<html>')))).toThrow('This is not a recording.')
})
