import { expect, test } from 'vitest'
import type { Viewer } from '../../api/contract.ts'
import { controlLine, viewerName, viewerOrigin } from './viewer-words.ts'

const viewer = (over: Partial<Viewer>): Viewer => ({
  id: 'str_1',
  object: 'viewer',
  session: 'ses_1',
  via: 'token',
  user: 'ada',
  link: null,
  role: 'control',
  granted_role: 'control',
  asked_at: null,
  address: null,
  since: '2026-11-21T12:00:00Z',
  created_at: '2026-11-21T12:00:00Z',
  ...over,
})

test('who it is', () => {
  expect([viewerName(viewer({}), 'str_1'), viewerName(viewer({}), 'str_2'), viewerName(viewer({ via: 'link' }), null)]).toEqual([
    'You, in this window',
    'ada',
    'A guest',
  ])
  expect(viewerOrigin(viewer({ via: 'link', address: '203.0.113.9' }))).toBe('by a link of ada, from 203.0.113.9')
  expect(viewerOrigin(viewer({}))).toBe('with a token')
})

test.each([
  ['shared', null, true, null],
  ['single', null, true, 'Only you type'],
  ['single', null, false, 'Only its owner types now'],
  ['single', 'mine', true, 'You have control'],
  ['single', 'other', true, 'Somebody else has control'],
] as const)('%s, %s, owner %s: %s', (mode, holder, owner, words) => {
  expect(controlLine({ mode, viewer: holder }, 'mine', owner)?.words ?? null).toBe(words)
})
