import { expect, test } from 'vitest'
import type { Link } from '../../api/contract.ts'
import { emptyShare, endsEarly, linkFacts, linkRequest } from './share-draft.ts'

const now = Date.parse('2026-11-21T12:00:00Z')
const link = (over: Partial<Link>): Link => ({
  id: 'lnk_1',
  object: 'link',
  session: 'ses_1',
  role: 'view',
  shared_by: 'ada',
  max_viewers: null,
  viewers: 0,
  created_at: '2026-11-21T11:00:00Z',
  expires_at: '2026-11-21T13:00:00Z',
  revoked_at: null,
  ...over,
})

test('what is sent', () => {
  expect(linkRequest(emptyShare).body).toEqual({ role: 'view', ttl_seconds: 3600 })
  expect(linkRequest({ role: 'control', life: '900', viewers: ' 3 ' }).body).toEqual({
    role: 'control',
    ttl_seconds: 900,
    max_viewers: 3,
  })
})

test.each(['0', '-1', '1.5', '101', 'many', '1e2', '0x3'])('%s viewers is a fault, and is not sent', viewers => {
  const { body, fault } = linkRequest({ ...emptyShare, viewers })
  expect(fault).not.toBe('')
  expect(body).not.toHaveProperty('max_viewers')
})

test('a link that outlives its session says so', () => {
  expect(endsEarly('3600', '2026-11-21T12:20:00Z', now)).toContain('20 min')
  expect([endsEarly('900', '2026-11-21T12:20:00Z', now), endsEarly('3600', null, now)]).toEqual(['', ''])
})

test('how a link is spoken of', () => {
  expect(linkFacts(link({}), now)).toBe('1 h left · nobody watching')
  expect(linkFacts(link({ viewers: 2, max_viewers: 3 }), now)).toBe('1 h left · 2 of 3 watching')
  expect(linkFacts(link({ max_viewers: 3 }), now)).toBe('1 h left · 0 of 3 watching')
  expect(linkFacts(link({ expires_at: '2026-11-21T11:59:00Z' }), now)).toContain('expired')
})
