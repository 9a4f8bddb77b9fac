import { expect, test } from 'vitest'
import type { SharedSession } from '../../api/contract.ts'
import { askingOf, goneWords, roleWord, secretOf, sharedTitle, waitWords } from './join-words.ts'

const secret = `vnc-lk-${'a'.repeat(49)}`
const shared = (over: Partial<SharedSession> = {}): SharedSession => ({
  object: 'shared_session',
  name: 'demo',
  template: 'chromium',
  status: 'running',
  display: null,
  role: 'view',
  role_now: null,
  asked_at: null,
  control_mode: 'shared',
  shared_by: 'ada',
  expires_at: '2026-11-21T13:00:00Z',
  ...over,
})

test('the secret is in the fragment, whole or not at all', () => {
  expect(secretOf(`#${secret}`)).toBe(secret)
  for (const hash of ['', '#', '#vnc-lk-', '#vnc-lk-abc', '#vnc-sk-whatever', `#${secret}<script>`, `#${'a'.repeat(400)}`])
    expect(secretOf(hash), hash).toBe('')
})

test('a link that ended says by what, as far as it is known', () => {
  expect(goneWords(null, 0).title).toBe('This link does not work')
  expect(goneWords(shared(), Date.parse('2026-11-21T13:00:01Z')).title).toBe('This link has expired')
  expect(goneWords(shared(), Date.parse('2026-11-21T12:00:00Z')).title).toBe('Sharing has ended')
})

test('names are one line of plain text, and a session without one is named by its template', () => {
  expect(sharedTitle(shared({ name: 'a\u202eb\n c' }))).toBe('ab c')
  expect(sharedTitle(shared({ name: null }))).toBe('A chromium session')
})

test('a status of a newer API has words, too', () => {
  expect(waitWords('hibernating').words).not.toBe('')
})

test('a guest is told when control is with somebody else', () => {
  expect(roleWord(shared()).word).toBe('You are watching')
  expect(roleWord(shared({ role: 'control', role_now: null })).word).toBe('You have control')
  expect(roleWord(shared({ role: 'control', role_now: 'view' })).word).toBe('Somebody else has control')
})

test.each([
  [{ role: 'view', role_now: 'view', asked_at: null }, 'none'],
  [{ role: 'control', role_now: 'control', asked_at: null }, 'none'],
  [{ role: 'control', role_now: null, asked_at: null }, 'none'],
  [{ role: 'control', role_now: 'view', asked_at: null }, 'may'],
  [{ role: 'control', role_now: 'view', asked_at: '2026-11-21T12:00:00Z' }, 'asked'],
] as const)('%o: asking is %s', (shared, asking) => {
  expect(askingOf(shared)).toBe(asking)
})
