/** What is made of a wish: pods, walls and claims, without a cluster. */
import { describe, expect, test } from 'vitest'
import { ConfigError } from '#agent/config.ts'
import { aSpec } from '#agent/testing/session-fixtures.ts'
import type { KubeObject } from '../../../deploy/chart.ts'
import { insecurities, podOf } from '../../../deploy/pod-security.ts'
import { claimFor } from './claims.ts'
import { annotation, label, specHash } from './labels.ts'
import { contains, EgressRefused, egressRules, sessionPolicySpec } from './network-policy.ts'
import { CannotRun, sessionPod } from './pod-spec.ts'
import { formatBytes, parseQuantity } from './quantity.ts'
import { kubernetesSettings } from './settings.ts'

const environment = {
  PORTHOLE_IMAGE_BROWSER: 'reg/browser:1',
  PORTHOLE_IMAGE_DESKTOP: 'reg/desktop:1',
  PORTHOLE_IMAGE_DISPLAY: 'reg/display:1',
}
const settings = kubernetesSettings(environment)
const podFor = (spec = aSpec(), more: Partial<typeof settings> = {}) =>
  sessionPod({ name: 'ses-a-g1', session: 'ses_a', generation: 1, spec }, { ...settings, ...more })
const main = (made: ReturnType<typeof podFor>) => made.spec!.containers[0]!
const hostSettingsOf = (made: ReturnType<typeof podFor>) =>
  JSON.parse(made.metadata!.annotations![annotation.hostSpec]!) as Record<string, unknown>

describe('a pod', () => {
  test.each([
    ['browser', aSpec()],
    ['desktop', aSpec({ kind: 'desktop' })],
    ['headless', aSpec({ headless: true })],
    ['app', aSpec({ kind: 'app', image: 'any/app:1', command: ['/bin/x', '-y'] })],
    ['with a volume', aSpec({ volume: { id: 'vol_a' } })],
  ])('%s: holds under the restricted standard, without a token, with a last wall', (_, spec) => {
    const made = podFor(spec)
    expect(insecurities(podOf(made as KubeObject)!)).toEqual([])
    expect(made.spec).toMatchObject({
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Never',
      activeDeadlineSeconds: settings.lastWallSeconds,
    })
    expect(JSON.stringify(made)).not.toMatch(/hostPath|hostNetwork|"privileged"/)
  })

  test('the same wish gives the same pod, and another spec another hash', () => {
    expect(podFor()).toEqual(podFor())
    const { env, labels, ...rest } = aSpec({ env: { A: '1', B: '2' } })
    expect(specHash({ labels, env: { B: '2', A: '1' }, ...rest } as never)).toBe(specHash(aSpec({ env: { ...env } })))
    expect(specHash(aSpec({ start_url: 'https://a.example' }))).not.toBe(specHash(aSpec()))
  })

  test('the image: the session’s own, else the cluster’s for its kind; none is a sentence', () => {
    expect(main(podFor()).image).toBe('reg/browser:1')
    expect(main(podFor(aSpec({ image: 'own/one:2' }))).image).toBe('own/one:2')
    expect(() => podFor(aSpec({ kind: 'desktop' }), { images: {} })).toThrow(
      'this cluster has no image for sessions of kind desktop',
    )
    expect(() => podFor(aSpec({ kind: 'app', headless: true, image: 'x' }))).toThrow(CannotRun)
    expect(() => podFor(aSpec({ kind: 'app' }))).toThrow('needs an image')
  })

  test('limits: what it asks for; requests never above them', () => {
    const asked = aSpec({ limits: { cpu_millis: 100, memory_bytes: 256 * 2 ** 20 }, requests: { cpu_millis: 500 } })
    expect(main(podFor(asked)).resources).toEqual({
      limits: { cpu: '100m', memory: String(256 * 2 ** 20) },
      requests: { cpu: '100m', memory: String(256 * 2 ** 20) },
    })
    expect(hostSettingsOf(podFor(asked)).memory_bytes).toBe(Math.floor(256 * 2 ** 20 * 0.92))
  })

  test('an app has a display beside it and needs nothing but DISPLAY; its variables cannot bend ours', () => {
    const spec = aSpec({ kind: 'app', image: 'any/app:1', command: ['/bin/x', '-y'], env: { HOME: '/root', LANG: 'de' } })
    const [display, app] = podFor(spec).spec!.containers
    expect([display!.image, app!.image]).toEqual(['reg/display:1', 'any/app:1'])
    expect([app!.command, app!.args]).toEqual([['/bin/x'], ['-y']])
    expect(Object.fromEntries(app!.env!.map(({ name, value }) => [name, value]))).toMatchObject({
      DISPLAY: ':0',
      HOME: '/home/porthole',
      LANG: 'de',
    })
    const shared = (container: typeof app) => container!.volumeMounts!.map(({ mountPath }) => mountPath)
    expect(shared(display).filter(path => shared(app).includes(path))).toContain('/tmp/.X11-unix')
    expect(hostSettingsOf(podFor(spec))).toMatchObject({ kind: 'app', command: ['sleep', 'infinity'] })
    expect(hostSettingsOf(podFor(spec))).not.toHaveProperty('env')
  })

  test('headless: no screen is offered', () => {
    expect(main(podFor(aSpec({ headless: true }))).ports?.map(({ name }) => name)).toEqual(['host'])
    expect(main(podFor()).ports?.map(({ name }) => name)).toEqual(['host', 'rfb'])
  })

  test('Chromium keeps its own sandbox where a profile allows it', () => {
    expect(hostSettingsOf(podFor()).chromium_sandbox).toBe(false)
    const made = podFor(aSpec(), { seccompProfile: 'porthole/chromium.json' })
    expect(hostSettingsOf(made).chromium_sandbox).toBe(true)
    expect(made.spec?.securityContext?.seccompProfile).toEqual({ type: 'Localhost', localhostProfile: 'porthole/chromium.json' })
    expect(insecurities(podOf(made as KubeObject)!)).toEqual([])
  })
})

describe('claims', () => {
  test('a volume’s outlives sessions; a desktop’s home is its own; a browser has neither', () => {
    const volume = claimFor('ses_a', aSpec({ volume: { id: 'vol_x', size_bytes: 5e9 } }), settings)
    expect(volume?.metadata).toMatchObject({
      name: 'vol-x',
      labels: { [label.volume]: 'vol_x' },
      annotations: { [annotation.writer]: 'ses_a' },
    })
    expect(volume?.spec?.resources?.requests).toEqual({ storage: '5000000000' })
    expect(claimFor('ses_a', aSpec({ kind: 'desktop' }), settings)?.metadata?.name).toBe('ses-a-home')
    expect(claimFor('ses_a', aSpec(), settings)).toBeNull()
  })
})

describe('walls', () => {
  const rules = (mode: 'none' | 'public' | 'all', allow: string[] = [], more = {}) =>
    egressRules({ mode, allow }, { ...settings.network, ...more })
  const blocks = (made: ReturnType<typeof rules>) => made.flatMap(rule => rule.to ?? []).flatMap(peer => peer.ipBlock ?? [])

  test('in: the agent’s pods and nobody else', () => {
    const { ingress, podSelector, policyTypes } = sessionPolicySpec('ses_a', 1, { mode: 'public', allow: [] }, settings)
    expect(ingress).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'porthole-system' } },
            podSelector: { matchLabels: { 'app.kubernetes.io/name': 'porthole-agent' } },
          },
        ],
      },
    ])
    expect(podSelector?.matchLabels).toMatchObject({ [label.session]: 'ses_a', [label.generation]: '1' })
    expect(policyTypes).toEqual(['Ingress', 'Egress'])
  })

  test('none: nothing, not even names', () => expect(rules('none')).toEqual([]))

  test.each([
    ['public', '169.254.169.254/32', true],
    ['public', '10.96.0.1/32', true],
    ['public', '192.168.1.1/32', true],
    ['public', '100.64.0.1/32', true],
    ['public', 'fd00:ec2::254/128', true],
    ['public', '203.0.113.7/32', true],
    ['public', '93.184.216.34/32', false],
    ['public', '2606:4700::1111/128', false],
    ['all', '10.96.0.1/32', false],
    ['all', '169.254.169.254/32', true],
    ['all', 'fe80::1/128', true],
  ] as const)('%s, %s: closed is %s', (mode, address, closed) => {
    const own = blocks(rules(mode, [], { denied: ['203.0.113.0/24'] }))
    const open = own.some(({ cidr, except = [] }) => contains(cidr, address) && !except.some(wall => contains(wall, address)))
    expect(open).toBe(!closed)
  })

  test('a hole is opened only where the operator allows it', () => {
    const allowed = { allowed: ['10.5.0.0/16'] }
    expect(blocks(rules('none', ['10.5.1.2:443'], allowed))).toEqual([{ cidr: '10.5.1.2/32' }])
    expect(rules('none', ['10.5.1.2:443'], allowed)[0]?.ports).toEqual([{ protocol: 'TCP', port: 443 }])
    for (const closed of ['10.6.0.1', '169.254.169.254', '0.0.0.0/0', '::/0', '10.0.0.0/8'])
      expect(() => rules('none', [closed], allowed)).toThrow('it lies in a closed network')
    for (const nonsense of ['', 'example.com', '10.5.1.2:0', '10.5.1.2:99999', '10.5.1.2/33', '[::1', '10.5.1'])
      expect(() => rules('none', [nonsense], allowed)).toThrow(EgressRefused)
  })
})

test.each<[string | undefined, number | null]>([
  ['500m', 0.5],
  ['2', 2],
  ['1e3', 1000],
  ['2Gi', 2 ** 31],
  ['1.5M', 1.5e6],
  ['', null],
  [undefined, null],
  ['2GB', null],
])('quantity %s', (text, amount) => expect(parseQuantity(text)).toBe(amount))

test('bytes for people', () => {
  expect([512 * 2 ** 20, 2 ** 31, 2.5 * 2 ** 30].map(formatBytes)).toEqual(['512 MiB', '2 GiB', '2.5 GiB'])
})

test('settings: every fault is told, an empty variable is none', () => {
  const wrong = {
    PORTHOLE_NAMESPACE: 'Not A Name',
    PORTHOLE_TOLERATIONS: '{',
    PORTHOLE_RUN_AS_USER: '0',
    PORTHOLE_IMAGE_BROWSER: '',
  }
  expect(() => kubernetesSettings(wrong)).toThrow(ConfigError)
  expect(() => kubernetesSettings(wrong)).toThrow(
    /PORTHOLE_NAMESPACE: .*PORTHOLE_RUN_AS_USER: .*PORTHOLE_TOLERATIONS: is not JSON/s,
  )
  expect(kubernetesSettings({ PORTHOLE_IMAGE_BROWSER: '' }).images).toEqual({})
})
