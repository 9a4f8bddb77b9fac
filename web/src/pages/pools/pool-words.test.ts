import { describe, expect, test } from 'vitest'
import type { Pool } from '../../api/contract.ts'
import { draftOf, emptyPool, hitRate, overrideWords, poolRequest, poolState, refillWords, targetOf } from './pool-words.ts'

const now = Date.parse('2026-11-21T12:00:00Z')
const at = (seconds: number) => new Date(now + seconds * 1000).toISOString()
const pool = (over: Partial<Pool> = {}): Pool => ({
  id: 'pol_1',
  object: 'pool',
  project: null,
  template: 'chromium',
  cluster: 'clu_1',
  size: 3,
  idle_size: 1,
  idle_after_seconds: 1800,
  max_age_seconds: 3600,
  overrides: {},
  ready: 3,
  starting: 0,
  hits: 0,
  misses: 0,
  refill_seconds: null,
  status_reason: null,
  last_asked_at: at(-60),
  created_at: at(-7200),
  ...over,
})

test('it keeps fewer when nobody has asked for a while', () => {
  expect(targetOf(pool(), now)).toBe(3)
  expect(targetOf(pool({ last_asked_at: at(-1800) }), now)).toBe(1)
  expect(targetOf(pool({ last_asked_at: null }), now)).toBe(1)
  expect(targetOf(pool({ last_asked_at: null, created_at: at(-5) }), now)).toBe(3)
  // One begins though nobody asked: the sessions that run keep it up.
  expect(targetOf(pool({ last_asked_at: at(-1800), ready: 1, starting: 1 }), now)).toBe(2)
})

test.each([
  [{}, 'Full'],
  [{ ready: 1, starting: 1 }, 'Filling'],
  [{ ready: 1 }, 'Low'],
  [{ ready: 0 }, 'Empty'],
  [{ ready: 1, last_asked_at: at(-9000) }, 'Full'],
  [{ ready: 0, starting: 0, status_reason: 'The last one did not start.' }, 'Not filling'],
  [{ ready: 0, size: 0, idle_size: 0 }, 'Off'],
] as const)('%o is %s', (over, word) => {
  expect(poolState(pool(over), now).word).toBe(word)
})

test.each([
  [0, 0, '–'],
  [5, 0, '100 %'],
  [999, 1, '99 %'],
  [0, 4, '0 %'],
  [2, 1, '67 %'],
])('%i found, %i not: %s', (hits, misses, rate) => {
  expect(hitRate({ hits, misses }).rate).toBe(rate)
})

test('what is over the template, in words', () => {
  expect(overrideWords(pool())).toEqual([])
  expect(overrideWords(pool({ overrides: { browser: 'firefox', headless: true, resources: { cpu: '2' } } }))).toEqual([
    'firefox',
    'headless',
    'cpu 2',
  ])
  expect([refillWords(null), refillWords(1.234), refillWords(75)]).toEqual(['–', '1.2 s', '1 min'])
})

describe('the form', () => {
  test('becomes a request in seconds, without what was not asked for', () => {
    const { body, faults } = poolRequest({ ...emptyPool, template: 'chromium', cluster: 'clu_1', memory: '2Gi' })
    expect(faults.size).toBe(0)
    expect(body).toEqual({
      template: 'chromium',
      cluster: 'clu_1',
      size: 2,
      idle_size: 1,
      idle_after_seconds: 1800,
      max_age_seconds: 3600,
      overrides: { resources: { memory: '2Gi' } },
    })
  })
  test('of a pool that is there changes nothing by itself', () => {
    const one = pool({ size: 4, idle_after_seconds: 45, max_age_seconds: 86_400 })
    expect(poolRequest(draftOf(one)).sizes).toEqual({ size: 4, idle_size: 1, idle_after_seconds: 45, max_age_seconds: 86_400 })
  })
  test.each([
    [{ template: '' }, 'template'],
    [{ size: '' }, 'size'],
    [{ size: '1.5' }, 'size'],
    [{ size: '101' }, 'size'],
    [{ size: '1', idleSize: '2' }, 'idle_size'],
    [{ idleAfter: '0' }, 'idle_after_seconds'],
    [{ maxAge: '1441' }, 'max_age_seconds'],
    [{ cpu: 'much' }, 'overrides'],
  ])('%o is a fault of %s', (over, field) => {
    const draft = { ...emptyPool, template: 'chromium', ...over }
    expect([...poolRequest(draft).faults.keys()]).toEqual([field])
  })
})
