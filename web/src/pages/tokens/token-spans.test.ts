import { expect, test } from 'vitest'
import type { Me, Scope } from '../../api/contract.ts'
import { bodyOfSpan, offeredSpans } from './token-spans.ts'

const now = Date.parse('2026-11-21T12:00:00Z')
const me = (scopes: Scope[], days: number | null): Pick<Me, 'scopes' | 'token'> => ({
  scopes,
  token: {
    id: 'tok_1',
    name: '',
    last4: '',
    scopes,
    expires_at: days === null ? null : new Date(now + days * 86_400_000).toISOString(),
  },
})
const keys = (who: Pick<Me, 'scopes' | 'token'>) => offeredSpans(who, now).map(span => span.key)

test('an endless admin may give an endless token, nobody else may', () => {
  expect(keys(me(['admin'], null))).toEqual(['86400', '604800', '2592000', '7776000', '31536000', 'never'])
  expect(keys(me(['tokens'], null))).not.toContain('never')
  expect(keys(me(['admin'], 20))).not.toContain('never')
})

test('nothing longer than the acting token', () => {
  expect(keys(me(['tokens'], 20))).toEqual(['86400', '604800', 'own'])
  expect(keys(me(['tokens'], 0.5))).toEqual(['own'])
})

test('what is sent', () => {
  expect([bodyOfSpan('86400'), bodyOfSpan('own'), bodyOfSpan('never')]).toEqual([
    { expires_in_seconds: 86_400 },
    {},
    { expires_in_seconds: null },
  ])
})
