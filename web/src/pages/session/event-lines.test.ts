import { expect, test } from 'vitest'
import type { LiveEvent, Session } from '../../api/contract.ts'
import { eventLines } from './event-lines.ts'

function event(id: string, type: string, status: Session['status'], over: Partial<Session> = {}): LiveEvent {
  const session = { status, status_reason: null, phases: [], ...over } as unknown as Session
  return { id, object: 'event', type, created_at: id, session }
}
const words = (events: LiveEvent[]) => eventLines(events).map(line => line.words)

test('newest first, each once, whatever order they came in', () => {
  const events = [
    event('evt_2', 'session.updated', 'running'),
    event('evt_1', 'session.created', 'queued'),
    event('evt_2', 'session.updated', 'running'),
  ]
  expect(words(events)).toEqual(['Running', 'Asked for'])
})

test('a repetition is one line, at its first time', () => {
  const events = ['evt_1', 'evt_2', 'evt_3'].map(id => event(id, 'session.updated', 'running'))
  expect(eventLines(events)).toEqual([{ id: 'evt_1', at: 'evt_1', words: 'Running' }])
})

test('while it moves, the phase is said; a reason comes before it', () => {
  const phases = [{ phase: 'display_ready', at: '' }]
  expect(words([event('evt_1', 'session.updated', 'starting', { phases })])).toEqual(['Starting: Screen is on'])
  expect(words([event('evt_1', 'session.updated', 'starting', { phases, status_reason: 'pulling \x1b[1mimage' })])).toEqual([
    'Starting: pulling image',
  ])
  expect(words([event('evt_1', 'session.updated', 'running', { phases })])).toEqual(['Running'])
})

test('an event without its session is named by its type', () => {
  expect(words([{ id: 'evt_1', object: 'event', type: 'stream.opened', created_at: '' }])).toEqual(['stream opened'])
})
