import { describe, expect, test } from 'vitest'
import { backoffDelay, screenBackoff } from '../live/backoff.ts'
import { closeReason } from './close-reasons.ts'
import { afterClose } from './reconnect-policy.ts'

describe('back-off', () => {
  test('stays between its floor and a bound that doubles up to the cap', () => {
    const longest = Array.from({ length: 8 }, (_, index) => backoffDelay(index + 1, () => 1, screenBackoff))
    expect(longest).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000, 15_000])
    expect(backoffDelay(50, () => 0, screenBackoff)).toBe(screenBackoff.floorMs)
    expect(backoffDelay(5_000, () => 1, screenBackoff)).toBe(screenBackoff.capMs)
  })
})

describe('after a close', () => {
  const ended = (code: number, failures = 1) => ({ code, failures, livedMs: 0 })

  test.each([4400, 4401, 4403, 4409])('%i is final: trying again would be refused again', code => {
    expect(afterClose(ended(code), Math.random)).toMatchObject({ kind: 'stop', words: closeReason(code).words })
  })

  test.each([1000, 1001, 1006, 1011, 4408, 4410, 4502, 4503, 4504, 4508, 4999])('%i is tried again', code => {
    expect(afterClose(ended(code), () => 0.5).kind).toBe('retry')
  })

  test('too many viewers is not hammered', () => {
    const next = afterClose(ended(4429), () => 0)
    expect(next.kind === 'retry' && next.delayMs).toBe(8_000)
  })

  test('every failure waits longer on average', () => {
    const waits = [1, 2, 3, 4].map(failures => {
      const next = afterClose(ended(1006, failures), () => 0.5)
      return next.kind === 'retry' ? next.delayMs : 0
    })
    expect([...waits].sort((a, b) => a - b)).toEqual(waits)
  })
})
