import { describe, expect, test } from 'vitest'
import { ago, clockTime, countdown, duration, lap, nearestDeadline, until } from './time.ts'

const now = Date.parse('2026-11-21T12:00:00.000Z')
const at = (offsetSeconds: number) => new Date(now + offsetSeconds * 1000).toISOString()

describe('duration', () => {
  test.each([
    [-5_000, '0 s'],
    [0, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [59 * 60_000 + 59_000, '59 min'],
    [3_600_000, '1 h'],
    [3_660_000, '1 h 1 min'],
    [86_400_000, '1 d'],
    [90_000_000, '1 d 1 h'],
    [86_400_000 * 40, '40 d'],
  ])('%i ms is %s', (ms, words) => {
    expect(duration(ms)).toBe(words)
  })
})

describe('countdown', () => {
  test.each([
    [-1, '0:00'],
    [400, '0:01'],
    [9_000, '0:09'],
    [599_000, '9:59'],
    [600_000, '10 min'],
    [7_200_000, '2 h'],
  ])('%i ms is %s', (ms, words) => {
    expect(countdown(ms)).toBe(words)
  })
})

test.each([
  [0.4, '0 ms'],
  [240, '240 ms'],
  [1_449, '1.4 s'],
  [12_345, '12 s'],
])('lap %d ms is %s', (ms, words) => {
  expect(lap(ms)).toBe(words)
})

test('ago says never for what never was, and just now for the last seconds', () => {
  expect(ago(null, now)).toBe('never')
  expect(ago('not a date', now)).toBe('never')
  expect(ago(at(-2), now)).toBe('just now')
  expect(ago(at(-90), now)).toBe('1 min ago')
  // A server clock ahead of ours must not show a negative age.
  expect(ago(at(30), now)).toBe('just now')
})

test('until counts down and knows no date', () => {
  expect(until(at(10), now)).toBe(10_000)
  expect(until(at(-10), now)).toBe(-10_000)
  expect(until(undefined, now)).toBeNull()
})

describe('nearestDeadline', () => {
  test('is the nearer of the two', () => {
    expect(nearestDeadline({ expires_at: at(600), idle_expires_at: at(60) }, now)).toEqual({ ms: 60_000, kind: 'idle' })
    expect(nearestDeadline({ expires_at: at(60), idle_expires_at: at(600) }, now)).toEqual({ ms: 60_000, kind: 'ttl' })
  })
  test('ttl wins a tie, for it cannot be moved by mere use', () => {
    expect(nearestDeadline({ expires_at: at(60), idle_expires_at: at(60) }, now)?.kind).toBe('ttl')
  })
  test('is null without any', () => {
    expect(nearestDeadline({ expires_at: null, idle_expires_at: null }, now)).toBeNull()
    expect(nearestDeadline({ expires_at: null, idle_expires_at: at(5) }, now)).toEqual({ ms: 5_000, kind: 'idle' })
  })
})

test('clockTime has no 24:00 and no am', () => {
  expect(clockTime('2026-11-21T12:00:05Z')).toMatch(/^\d{2}:\d{2}:05$/)
})
