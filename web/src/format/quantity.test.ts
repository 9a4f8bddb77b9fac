import { expect, test } from 'vitest'
import { amountOf, bytes, cores, count, ordinal, share } from './quantity.ts'

test.each([
  [null, '–'],
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [8 * 1024 ** 3, '8 GiB'],
  [123.4 * 1024 ** 2, '123 MiB'],
  [5 * 1024 ** 5, '5120 TiB'],
])('bytes(%s) is %s', (amount, words) => {
  expect(bytes(amount)).toBe(words)
})

test('cores', () => {
  expect([1000, 1500, 2000, null].map(cores)).toEqual(['1 core', '1.5 cores', '2 cores', '–'])
})

test('count', () => {
  expect([count(0, 'session'), count(1, 'session'), count(2, 'match', 'matches')]).toEqual([
    '0 sessions',
    '1 session',
    '2 matches',
  ])
})

test('ordinal', () => {
  expect([1, 2, 3, 4, 11, 12, 13, 21, 101, 111, 122].map(ordinal)).toEqual([
    '1st',
    '2nd',
    '3rd',
    '4th',
    '11th',
    '12th',
    '13th',
    '21st',
    '101st',
    '111th',
    '122nd',
  ])
})

test('share of a limit: none without one, full when nothing is allowed', () => {
  expect([share(1, 4), share(9, 4), share(0, 0), share(1, null)]).toEqual([0.25, 1, 1, null])
})

test.each([
  ['500m', 0.5],
  ['2', 2],
  ['1.5', 1.5],
  ['2Gi', 2 * 1024 ** 3],
  ['3G', 3e9],
  ['0', 0],
  ['', null],
  ['2Xi', null],
  ['-1', null],
  [null, null],
])('amountOf(%s) is %s', (quantity, amount) => {
  expect(amountOf(quantity)).toBe(amount)
})
