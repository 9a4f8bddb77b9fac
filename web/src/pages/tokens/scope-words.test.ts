import { expect, test } from 'vitest'
import { offeredScopes, presets, sameScopes, scopeWords } from './scope-words.ts'

test('no preset holds a strong scope', () => {
  for (const preset of presets) for (const scope of preset.scopes) expect(scopeWords[scope].strong, scope).toBeFalsy()
})

test('only own scopes are offered, an admin may give all', () => {
  expect(offeredScopes(['sessions:read', 'tokens'])).toEqual(['sessions:read', 'tokens'])
  expect(offeredScopes(['admin'])).toEqual(Object.keys(scopeWords))
})

test('sets are compared, not lists', () => {
  expect(sameScopes(['a', 'b'], ['b', 'a'])).toBe(true)
  expect(sameScopes(['a'], ['a', 'b'])).toBe(false)
})
