import { expect, test } from 'vitest'
import { chooseLive } from './wall-slots.ts'

const order = ['a', 'b', 'c', 'd', 'e']
const set = (...ids: string[]) => new Set(ids)

test('only what is in view, in order, up to the cap', () => {
  expect(chooseLive(order, set('e', 'b', 'c'), set(), 10)).toEqual(['b', 'c', 'e'])
  expect(chooseLive(order, set('a', 'b', 'c'), set(), 2)).toEqual(['a', 'b'])
  expect(chooseLive(order, set(), set('a'), 2)).toEqual([])
})

test('those that are live keep their place over new ones', () => {
  expect(chooseLive(order, set('a', 'b', 'c', 'd'), set('c', 'd'), 2)).toEqual(['c', 'd'])
  expect(chooseLive(order, set('a', 'b', 'c'), set('c', 'd'), 2)).toEqual(['a', 'c'])
})

test('a session that ended frees its place', () => {
  expect(chooseLive(['b', 'c'], set('a', 'b', 'c'), set('a', 'b'), 2)).toEqual(['b', 'c'])
})
