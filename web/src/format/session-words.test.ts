import { describe, expect, test } from 'vitest'
import type { Session } from '../api/contract.ts'
import { expectedStatus, phaseWord, reasonOf, sessionWords, titleOf, wordFor } from './session-words.ts'

function session(over: Partial<Session>): Session {
  return { id: 'ses_1', name: null, status: 'running', status_reason: null, termination_reason: null, ...over } as Session
}

test('only what runs can be extended, only what ended can be started', () => {
  const may = (action: string) =>
    Object.entries(sessionWords).flatMap(([status, word]) => (word.actions.some(one => one === action) ? [status] : []))
  expect(may('extend')).toEqual(['running'])
  // As api/sessions/lifecycle.ts has it: what failed or expired does not start again.
  expect(may('start')).toEqual(['stopped'])
  expect(may('again')).toEqual(['failed', 'expired'])
  // Delete is legal from every state.
  expect(may('end')).toEqual(Object.keys(sessionWords))
})

test('an expected status is one that a session can have', () => {
  for (const status of Object.values(expectedStatus)) expect(sessionWords).toHaveProperty(status)
})

test('a status of a newer API keeps its own name and can be ended', () => {
  expect(wordFor('hibernating')).toMatchObject({ word: 'hibernating', actions: ['open', 'end'] })
})

describe('reasonOf', () => {
  test('says nothing of a session that simply runs', () => {
    expect(reasonOf(session({}))).toBe('')
  })
  test('says the place in line', () => {
    const queued = session({ status: 'queued', queue: { position: 2, reason: 'eu-1: 0 of 5 places free' } })
    expect(reasonOf(queued)).toBe('2nd in line. eu-1: 0 of 5 places free')
  })
  test('prefers the words of the server, without escapes', () => {
    expect(reasonOf(session({ status: 'failed', status_reason: 'OOM \x1b[31mkilled' }))).toBe('OOM killed')
    expect(reasonOf(session({ status: 'expired', status_reason: 'nobody used it for 30 s' }))).toBe('Nobody used it for 30 s')
  })
  test('a reason that only repeats a status is none', () => {
    expect(reasonOf(session({ status: 'stopped', status_reason: 'stopped', termination_reason: 'requested' }))).toBe(
      'Stopped on request.',
    )
  })
  test('knows why it ended when the server gives only a word', () => {
    expect(reasonOf(session({ status: 'stopped', termination_reason: 'idle' }))).toBe('Nobody used it for a while.')
    expect(reasonOf(session({ status: 'expired', termination_reason: 'something_new' }))).toBe('Its time was up.')
  })
})

test('a title is the name, else the id', () => {
  expect(titleOf({ id: 'ses_1', name: null })).toBe('ses_1')
  expect(titleOf({ id: 'ses_1', name: '  \u202e ' })).toBe('ses_1')
  expect(titleOf({ id: 'ses_1', name: 'checkout test' })).toBe('checkout test')
})

test('an unknown phase is made readable', () => {
  expect(phaseWord('browser_ready')).toBe('Browser is up')
  expect(phaseWord('volume_attached')).toBe('Volume attached')
})
