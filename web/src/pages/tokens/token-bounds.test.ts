import { expect, test } from 'vitest'
import { boundsRequest, boundsWords, noBounds } from './token-bounds.ts'

test('nothing is sent that was not asked for', () => {
  expect(boundsRequest(noBounds)).toEqual({ body: {}, fault: '' })
})

test('networks by comma or space, limits as numbers', () => {
  const { body } = boundsRequest({ networks: '10.0.0.0/8, 2001:db8::/32\n', sessions: ' 3', streams: '', requests: '60' })
  expect(body).toEqual({
    allowed_cidrs: ['10.0.0.0/8', '2001:db8::/32'],
    limits: { max_sessions: 3, requests_per_minute: 60 },
  })
})

test.each(['-1', '1.5', 'x', '1e3', '9999999'])('%s is no limit', text => {
  expect(boundsRequest({ ...noBounds, sessions: text }).fault).not.toBe('')
})

test('in words', () => {
  expect(boundsWords({ allowed_cidrs: null, limits: {} })).toBe('')
  expect(boundsWords({ allowed_cidrs: ['10.0.0.0/8'], limits: { max_sessions: 1 } })).toBe('from 10.0.0.0/8 · at most 1 session')
})
