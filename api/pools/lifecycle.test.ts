import { describe, expect, test } from 'vitest'
import { type ClusterFacts, type PoolFacts, planPool, retryAfterMs, type WarmFacts } from './lifecycle.ts'

const pool = (over: Partial<PoolFacts> = {}): PoolFacts => ({
  ...{ size: 3, idleSize: 1, idleAfterMs: 60_000, maxAgeMs: 600_000, quietMs: 0, fit: 'a', retryInMs: 0 },
  ...over,
})
const cluster = (over: Partial<ClusterFacts> = {}): ClusterFacts => ({
  state: 'open',
  free: 10,
  busy: false,
  starting: 0,
  ...over,
})
const warm = (id: string, over: Partial<WarmFacts> = {}): WarmFacts => ({ id, status: 'ready', fit: 'a', ageMs: 1_000, ...over })

describe('begins', () => {
  test.each<[string, Partial<PoolFacts>, WarmFacts[], Partial<ClusterFacts>, number]>([
    ['one at a time', {}, [], {}, 1],
    ['none while one starts', {}, [warm('x', { status: 'starting' })], { starting: 1 }, 0],
    ['none while another pool’s starts', {}, [], { starting: 1 }, 0],
    ['none while somebody’s own starts', {}, [], { busy: true }, 0],
    ['none where there is no room', {}, [], { free: 0 }, 0],
    ['none where there are less than none', {}, [], { free: -2 }, 0],
    ['none before its time after a failure', { retryInMs: 1 }, [], {}, 0],
    ['none when it is full', {}, [warm('x'), warm('y'), warm('z')], {}, 0],
    ['none beyond the idle size when nobody asks', { quietMs: 60_000 }, [warm('x')], {}, 0],
    ['none where nobody can tell', {}, [], { state: 'away' }, 0],
    ['none without a template', { fit: null }, [], {}, 0],
  ])('%s', (_, facts, there, where, start) => {
    expect(planPool(pool(facts), there, cluster(where)).start).toBe(start)
  })
})

describe('ends', () => {
  const ids = (facts: Partial<PoolFacts>, there: WarmFacts[], where: Partial<ClusterFacts> = {}) =>
    planPool(pool(facts), there, cluster(where)).retire.sort()

  test('what ended, is stale or too old', () => {
    const there = [warm('ended', { status: 'ended' }), warm('stale', { fit: 'b' }), warm('old', { ageMs: 600_000 }), warm('good')]
    expect(ids({}, there)).toEqual(['ended', 'old', 'stale'])
  })
  test('what is too many, first what is not up yet, then the oldest', () => {
    const there = [warm('young'), warm('old', { ageMs: 9_000 }), warm('half', { status: 'starting' })]
    expect(ids({ size: 1 }, there)).toEqual(['half', 'old'])
    expect(ids({ quietMs: 60_000, idleSize: 2 }, there)).toEqual(['half'])
  })
  test('everything where nothing may be, nothing where nobody can tell', () => {
    const there = [warm('x'), warm('y', { status: 'ended' })]
    expect(ids({}, there, { state: 'closed' })).toEqual(['x', 'y'])
    expect(ids({ fit: null }, there)).toEqual(['x', 'y'])
    expect(ids({}, there, { state: 'away' })).toEqual([])
  })
})

test('failed starts wait longer and longer, up to a limit', () => {
  const waits = [1, 2, 3, 20].map(retryAfterMs)
  expect(waits).toEqual([5_000, 10_000, 20_000, 300_000])
})
