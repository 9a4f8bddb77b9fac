import { expect, test } from 'vitest'
import { lifeOf } from './timeline.tsx'

const phases = [{ phase: 'running', at: '2026-11-21T12:00:00Z' }]
const at = '2026-11-21T12:05:00Z'

test('an end is the last line, once', () => {
  expect(lifeOf({ phases, status: 'failed', ended_at: at })).toEqual([...phases, { phase: 'failed', at }])
  expect(lifeOf({ phases: [{ phase: 'failed', at }], status: 'failed', ended_at: at })).toHaveLength(1)
})

test('what lives, or lives again, has no end', () => {
  expect(lifeOf({ phases, status: 'running', ended_at: null })).toBe(phases)
  expect(lifeOf({ phases, status: 'starting', ended_at: at })).toBe(phases)
})
