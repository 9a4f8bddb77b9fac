import { describe, expect, test } from 'vitest'
import type { Cluster } from '../../api/contract.ts'
import { addressOf, emptyDraft, inOfferedOrder, requestOf, type SessionDraft, servable, templateFacts } from './session-draft.ts'

const draft = (over: Partial<SessionDraft>): SessionDraft => ({ ...emptyDraft, template: 'chromium', ...over })

test('an untouched form asks for the template and nothing more', () => {
  expect(requestOf(draft({}), 'browser')).toEqual({ body: { template: 'chromium' }, faults: new Map() })
})

test('everything chosen', () => {
  const { body, faults } = requestOf(
    draft({
      name: ' shop ',
      startUrl: 'example.com/cart',
      size: '1920x1080',
      ttl: '3600',
      idle: 'custom',
      idleMinutes: '2.5',
      cluster: 'clu_1',
      cpu: '2',
      memory: '2Gi',
      labels: 'team=payments, run=7\n',
    }),
    'browser',
  )
  expect(faults.size).toBe(0)
  expect(body).toEqual({
    template: 'chromium',
    name: 'shop',
    start_url: 'https://example.com/cart',
    display: { width: 1920, height: 1080 },
    ttl_seconds: 3600,
    idle_timeout_seconds: 150,
    cluster: 'clu_1',
    resources: { cpu: '2', memory: '2Gi' },
    labels: { team: 'payments', run: '7' },
  })
})

test('a desktop has no page to start on, a headless browser no screen', () => {
  expect(requestOf(draft({ startUrl: 'example.com', headless: true, size: '1280x720' }), 'desktop').body).toEqual({
    template: 'chromium',
    display: { width: 1280, height: 720 },
  })
  expect(requestOf(draft({ headless: true, size: '1280x720' }), 'browser').body).toEqual({ template: 'chromium', headless: true })
})

describe('faults are under the name the API uses', () => {
  test.each([
    ['template', draft({ template: '' })],
    ['display', draft({ size: 'custom', width: '1', height: '1' })],
    ['display', draft({ size: 'custom', width: '99999', height: '720' })],
    ['display', draft({ size: 'custom', width: 'wide', height: '' })],
    ['ttl_seconds', draft({ ttl: 'custom', ttlMinutes: '0' })],
    ['ttl_seconds', draft({ ttl: 'custom', ttlMinutes: '-1' })],
    ['idle_timeout_seconds', draft({ idle: 'custom', idleMinutes: 'soon' })],
    ['labels', draft({ labels: 'noequals' })],
    ['labels', draft({ labels: '=value' })],
  ])('%s', (field, one) => {
    expect([...requestOf(one, 'browser').faults.keys()]).toEqual([field])
  })
})

test.each([
  ['', ''],
  [' example.com ', 'https://example.com'],
  ['localhost:3000/a', 'http://localhost:3000/a'],
  ['192.168.1.4', 'http://192.168.1.4'],
  ['example.com:8443', 'https://example.com:8443'],
  ['http://example.com', 'http://example.com'],
  ['about:blank', 'about:blank'],
  // Not ours to repair: the API says what is wrong with it.
  ['javascript:alert(1)', 'javascript:alert(1)'],
  ['file:///etc/passwd', 'file:///etc/passwd'],
])('%s becomes %s', (typed, address) => {
  expect(addressOf(typed)).toBe(address)
})

test('a template can run where a cluster that is online has its kind and browser', () => {
  const cluster = (status: string, kinds: string[], browsers: string[]) =>
    ({ status, capabilities: { kinds, browsers } }) as unknown as Cluster
  const webkit = { kind: 'browser', browser: 'webkit' } as const
  expect(servable(webkit, [])).toBe(true)
  expect(servable(webkit, [cluster('online', ['browser'], ['chromium'])])).toBe(false)
  expect(servable(webkit, [cluster('offline', ['browser'], ['webkit'])])).toBe(false)
  expect(servable(webkit, [cluster('online', ['browser'], ['chromium', 'webkit'])])).toBe(true)
  expect(servable({ kind: 'desktop' }, [cluster('online', ['desktop'], [])])).toBe(true)
  expect(servable({ kind: 'browser' }, [cluster('online', ['browser'], ['chromium'])])).toBe(true)
})

test('templates are offered with those first that can run now', () => {
  const cluster = {
    status: 'online',
    capabilities: { kinds: ['browser', 'desktop'], browsers: ['chromium'] },
  } as unknown as Cluster
  const listed = [
    { id: 'desktop', kind: 'desktop' as const },
    { id: 'webkit', kind: 'browser' as const, browser: 'webkit' as const },
    { id: 'chromium', kind: 'browser' as const, browser: 'chromium' as const },
  ]
  expect(inOfferedOrder(listed, [cluster]).map(one => one.id)).toEqual(['chromium', 'desktop', 'webkit'])
})

test('volume, clipboard, network and environment go along only when chosen', () => {
  const draft = { ...emptyDraft, template: 'chromium' }
  expect(Object.keys(requestOf(draft, 'browser').body)).toEqual(['template'])
  const { body, faults } = requestOf(
    { ...draft, volume: 'vol_1', clipboard: 'none', egress: 'public', env: 'A=1\n\n B_2=x=y \n' },
    'browser',
  )
  expect(body).toMatchObject({ volume: 'vol_1', clipboard: 'none', egress: { mode: 'public' }, env: { A: '1', B_2: 'x=y ' } })
  expect(faults.size).toBe(0)
})

test.each(['A', '1A=2', 'A B=1', '=x'])('%s is no variable', env => {
  expect(requestOf({ ...emptyDraft, template: 'chromium', env }, 'browser').faults.has('env')).toBe(true)
})

test('what a template gives, as far as it says so', () => {
  expect(
    templateFacts({ resources: { cpu: '500m', memory: '2Gi' }, display: { width: 1280, height: 720 }, ttl_seconds: 3600 }),
  ).toBe('0.5 cores · 2 GiB · 1280 × 720 · ends after 1 h')
  expect(templateFacts({})).toBe('')
})
