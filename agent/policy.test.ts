import { describe, expect, test } from 'vitest'
import { clipboardOf, defaultPolicy, forbiddenSession, type Policy } from './policy.ts'
import { anOpen, aSpec } from './testing/session-fixtures.ts'

const policy = (overrides: Partial<Policy>): Policy => ({ ...defaultPolicy, ...overrides })

describe('sessions', () => {
  test.each([
    ['ghcr.io/us/*', 'ghcr.io/us/browser:1', true],
    ['ghcr.io/us/*', 'ghcr.io/them/browser:1', false],
    ['ghcr.io/us/*', 'evil.io/ghcr.io/us/browser', false],
    ['exact:1', 'exact:1', true],
    ['exact:1', 'exact:10', false],
    ['a.b', 'aXb', false],
    ['*', 'anything', true],
  ])('images %s: %s is %s', (pattern, image, allowed) => {
    expect(forbiddenSession(policy({ images: [pattern] }), aSpec({ image })) === null).toBe(allowed)
  })

  test('a display beyond the limit, unless nobody sees it', () => {
    const display = { width: 4000, height: 300 }
    expect(forbiddenSession(policy({}), aSpec({ display }))).toContain('3840x2160')
    expect(forbiddenSession(policy({}), aSpec({ display, headless: true }))).toBeNull()
  })

  test('kinds and recordings', () => {
    expect(forbiddenSession(policy({ kinds: [] }), aSpec())).toContain('kind browser')
    expect(forbiddenSession(policy({ featuresOff: ['recording'] }), aSpec({ recording: true }))).toContain('recordings')
    expect(forbiddenSession(policy({}), aSpec())).toBeNull()
  })
})

describe('clipboard', () => {
  test.each([
    ['both', 'both', { in: true, out: true }],
    ['both', 'in', { in: true, out: false }],
    ['out', 'both', { in: false, out: true }],
    ['in', 'out', { in: false, out: false }],
    ['none', 'both', { in: false, out: false }],
  ] as const)('session %s, grant %s', (session, grant, expected) => {
    expect(clipboardOf(policy({}), anOpen({ clipboard: grant }), aSpec({ clipboard: session }))).toEqual(expected)
  })

  test('never for who only watches, nor where the cluster forbids it', () => {
    expect(clipboardOf(policy({}), anOpen({ role: 'view' }), aSpec())).toEqual({ in: false, out: false })
    expect(clipboardOf(policy({ featuresOff: ['clipboard'] }), anOpen(), aSpec())).toEqual({ in: false, out: false })
  })
})
