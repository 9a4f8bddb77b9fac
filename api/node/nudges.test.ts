import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Nudges } from './nudges.ts'

let passed: string[]
let nudges: Nudges
beforeEach(() => {
  vi.useFakeTimers()
  passed = []
  nudges = new Nudges(cluster => passed.push(cluster))
})
afterEach(() => {
  nudges.close()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

test('the first goes at once, with those of the same turn', () => {
  for (let n = 0; n < 32; n++) nudges.nudge('clu_a')
  nudges.nudge('clu_b')
  vi.advanceTimersByTime(0)
  expect(passed).toEqual(['clu_a', 'clu_b'])
  vi.advanceTimersByTime(1_000)
  expect(passed).toEqual(['clu_a', 'clu_b'])
})

test('what comes soon after goes together, and is never lost', () => {
  for (let ms = 0; ms < 90; ms++) {
    nudges.nudge('clu_a')
    vi.advanceTimersByTime(1)
  }
  expect(passed).toHaveLength(5)
  vi.advanceTimersByTime(1_000)
  expect(passed).toHaveLength(6)
  nudges.nudge('clu_a')
  vi.advanceTimersByTime(0)
  expect(passed).toHaveLength(7)
})

test('what nobody waits for goes later, with whatever goes first', () => {
  for (let ms = 0; ms < 250; ms += 10) {
    nudges.nudge('clu_a', false)
    vi.advanceTimersByTime(10)
  }
  expect(passed).toHaveLength(2)
  nudges.nudge('clu_a')
  vi.advanceTimersByTime(0)
  expect(passed).toHaveLength(3)
  vi.advanceTimersByTime(1_000)
  expect(passed).toHaveLength(3)
})

test('nothing is passed on after the end', () => {
  nudges.nudge('clu_a')
  nudges.nudge('clu_c', false)
  nudges.close()
  nudges.nudge('clu_b')
  nudges.nudge('clu_b', false)
  vi.advanceTimersByTime(1_000)
  expect(passed).toEqual([])
})
