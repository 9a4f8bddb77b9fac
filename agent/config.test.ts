import { describe, expect, test } from 'vitest'
import { readConfig } from './config.ts'
import { defaultPolicy } from './policy.ts'

const least = { PORTHOLE_URL: 'https://porthole.test/', PORTHOLE_RUNTIME: 'local' }

describe('config', () => {
  test('the least there is', () => {
    expect(readConfig(least)).toMatchObject({
      origin: 'https://porthole.test',
      runtime: 'local',
      dataDir: '.porthole',
      giveUpAfterMs: null,
      policy: defaultPolicy,
    })
  })

  test('the cluster’s policy', () => {
    const { policy, giveUpAfterMs } = readConfig({
      ...least,
      PORTHOLE_MAX_SESSIONS: '3',
      PORTHOLE_MAX_TTL_SECONDS: '60',
      PORTHOLE_ALLOWED_KINDS: 'browser, desktop',
      PORTHOLE_ALLOWED_IMAGES: 'ghcr.io/us/*,x:1',
      PORTHOLE_FEATURES_OFF: 'cdp,clipboard',
      PORTHOLE_MAX_DISPLAY: '1920x1080',
      PORTHOLE_ALLOW_MASS_DELETE: 'true',
      PORTHOLE_EXIT_WITHOUT_LINK_SECONDS: '300',
    })
    expect(policy).toMatchObject({
      maxSessions: 3,
      maxTtlMs: 60_000,
      kinds: ['browser', 'desktop'],
      images: ['ghcr.io/us/*', 'x:1'],
      featuresOff: ['cdp', 'clipboard'],
      maxDisplay: { width: 1920, height: 1080 },
      allowMassDelete: true,
    })
    expect(giveUpAfterMs).toBe(300_000)
  })

  test('an empty variable is one nobody set', () => {
    expect(readConfig({ ...least, PORTHOLE_JOIN_TOKEN: '', DATA_DIR: '' })).toMatchObject({
      joinToken: undefined,
      dataDir: '.porthole',
    })
  })

  test('all faults at once, each by its name', () => {
    expect(() => readConfig({ PORTHOLE_RUNTIME: 'docker', PORTHOLE_MAX_SESSIONS: 'many', PORTHOLE_MAX_DISPLAY: '10' })).toThrow(
      /PORTHOLE_URL: is not set\n {2}PORTHOLE_RUNTIME: .*\n {2}PORTHOLE_MAX_SESSIONS: .*\n {2}PORTHOLE_MAX_DISPLAY: must look like/,
    )
  })

  test.each(['ftp://x', 'porthole.test', 'ws://x'])('an address like %s', url => {
    expect(() => readConfig({ ...least, PORTHOLE_URL: url })).toThrow('PORTHOLE_URL')
  })
})
