import { describe, expect, test } from 'vitest'
import type { Session } from '../../api/contract.ts'
import { fetched, noEntities, pend } from '../../live/entities.ts'
import { inGroup, type ListFilter, matches, shownSessions } from './session-list.ts'

const base = {
  id: 'ses_1',
  name: 'Checkout test',
  user: 'ada',
  template: 'chromium',
  cluster: 'clu_1',
  status: 'running',
  status_reason: 'was fine',
  start_url: 'https://shop.example',
  labels: { team: 'payments' },
  created_at: '2026-11-21T12:00:00Z',
} as unknown as Session
const filter = (over: Partial<ListFilter> = {}): ListFilter => ({ group: 'active', template: '', cluster: '', text: '', ...over })

describe('matches', () => {
  test.each([
    ['nothing asked', filter(), true],
    ['by part of the name, any case', filter({ text: 'CHECK' }), true],
    ['by id', filter({ text: 'ses_1' }), true],
    ['by label', filter({ text: 'team=pay' }), true],
    ['every word must be there', filter({ text: 'checkout ada' }), true],
    ['one word missing', filter({ text: 'checkout bob' }), false],
    ['words do not join across fields', filter({ text: 'testses' }), false],
    ['other template', filter({ template: 'desktop' }), false],
    ['other cluster', filter({ cluster: 'clu_2' }), false],
    ['other group', filter({ group: 'ended' }), false],
  ])('%s', (_name, asked, expected) => {
    expect(matches(base, asked)).toBe(expected)
  })
})

test('unreachable is active: it may still run', () => {
  expect(inGroup({ ...base, status: 'unreachable' }, 'active')).toBe(true)
  expect(inGroup({ ...base, status: 'expired' }, 'active')).toBe(false)
  expect(inGroup({ ...base, status: 'expired' }, 'all')).toBe(true)
})

test('what was asked for shows as the status, without the old reason, and is the same object each time', () => {
  const state = pend(fetched(noEntities<Session>(), [base], 0), 'ses_1', 'stopping')
  const [first] = shownSessions(state)
  expect(first).toMatchObject({ status: 'stopping', status_reason: null })
  expect(shownSessions(state)[0]).toBe(first)
})
