import { describe, expect, test } from 'vitest'
import { fetched, gone, noEntities, pend, refetched, told, valuesOf } from './entities.ts'

interface Thing {
  id: string
  created_at: string
  status: string
}
const thing = (id: string, status: string, second = 0): Thing => ({ id, status, created_at: `2026-11-21T12:00:0${second}Z` })
const none = () => noEntities<Thing>()

describe('answers and events', () => {
  test('an event is newer than an answer that was asked for before it', () => {
    const start = none()
    const asOf = start.tick
    const afterEvent = told(start, thing('a', 'running'))
    const afterAnswer = fetched(afterEvent, [thing('a', 'starting')], asOf)
    expect(valuesOf(afterAnswer)).toEqual([thing('a', 'running')])
  })

  test('an answer asked for after the event wins', () => {
    const afterEvent = told(none(), thing('a', 'starting'))
    expect(valuesOf(fetched(afterEvent, [thing('a', 'running')], afterEvent.tick))).toEqual([thing('a', 'running')])
  })

  test('a late answer does not bring back what was deleted', () => {
    const start = fetched(none(), [thing('a', 'running')], 0)
    const asOf = start.tick
    const deleted = gone(start, 'a')
    expect(valuesOf(fetched(deleted, [thing('a', 'stopping')], asOf))).toEqual([])
  })

  test('nothing brings back what was deleted: its pod going away is still told of', () => {
    const deleted = gone(fetched(none(), [thing('a', 'running')], 0), 'a')
    expect(valuesOf(told(deleted, thing('a', 'stopped')))).toEqual([])
    expect(valuesOf(fetched(deleted, [thing('a', 'stopped')], deleted.tick))).toEqual([])
  })

  test('newest first, ids break ties', () => {
    const state = fetched(none(), [thing('a', 'x', 1), thing('c', 'x', 2), thing('b', 'x', 2)], 0)
    expect(valuesOf(state).map(one => one.id)).toEqual(['c', 'b', 'a'])
  })
})

describe('refetch after a gap', () => {
  const before = fetched(none(), [thing('a', 'running'), thing('b', 'running'), thing('old', 'stopped')], 0)

  test('what the new list lacks is gone, if the list would have shown it', () => {
    const after = refetched(before, [thing('a', 'running')], before.tick, one => one.status !== 'stopped')
    expect(valuesOf(after).map(one => one.id)).toEqual(['old', 'a'])
  })

  test('what an event told of meanwhile stays', () => {
    const asOf = before.tick
    const meanwhile = told(before, thing('b', 'starting'))
    const after = refetched(meanwhile, [thing('a', 'running')], asOf, () => true)
    expect(valuesOf(after)).toEqual([thing('b', 'starting'), thing('a', 'running')])
  })
})

describe('what was asked for', () => {
  test('shows until an event says more', () => {
    const state = pend(fetched(none(), [thing('a', 'running')], 0), 'a', 'stopping')
    expect(state.entries.a?.pending).toBe('stopping')
    expect(told(state, thing('a', 'stopping')).entries.a?.pending).toBeNull()
  })

  test('survives an unrelated answer', () => {
    const state = pend(fetched(none(), [thing('a', 'running')], 0), 'a', 'stopping')
    expect(fetched(state, [thing('a', 'running')], 0).entries.a?.pending).toBe('stopping')
  })

  test('nothing can be asked of what is not known', () => {
    const state = none()
    expect(pend(state, 'a', 'stopping')).toBe(state)
  })
})
