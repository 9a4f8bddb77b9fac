/**
 * One short pod behind a session's own walls that tries what they must keep closed, and says what its image has. Many networks take
 * policies and ignore them: only trying tells.
 */

import { z } from 'zod'
import { type Clock, sleep } from '#agent/clock.ts'
import type { ClusterObjects } from './cluster-objects.ts'
import { ownLabels } from './labels.ts'
import { egressRules } from './network-policy.ts'
import { podPaths } from './pod-names.ts'
import { containerRules, podRules } from './pod-spec.ts'
import { podWaiting } from './pod-waiting.ts'
import { bytesQuantity, cpuQuantity } from './quantity.ts'
import type { KubernetesSettings } from './settings.ts'
import type { NetworkPolicy, Pod } from './wire.ts'

export interface ProbeResult {
  /** null: could not be found out. */
  enforced: boolean | null
  /** Of the image: `playwright`, `chromium`, `node`. */
  versions: Record<string, string>
  note: string
}

const Found = z.object({
  open: z.array(z.string().max(100)).max(10),
  versions: z.record(z.string().max(40), z.string().max(100)),
})

const wholeMs = 90_000

/** A new policy may take the network some seconds: what answers is tried again before it counts. */
const script = `
const net = require('net'), fs = require('fs'), { execFileSync } = require('child_process')
const targets = JSON.parse(process.argv[1])
const once = t => new Promise(r => { const s = net.connect({ host: t.host, port: t.port }); const end = v => { s.destroy(); r(v) }
  s.setTimeout(1500, () => end(false)); s.on('connect', () => end(true)); s.on('error', e => end(e.code === 'ECONNREFUSED')) })
const tried = async t => { for (const wait of [0, 1000, 2000, 4000]) { await new Promise(r => setTimeout(r, wait)); if (!await once(t)) return false } return true }
const versions = { node: process.versions.node }
for (const base of ['/opt/porthole/', process.cwd() + '/']) try { versions.playwright = JSON.parse(fs.readFileSync(base + 'node_modules/playwright-core/package.json')).version; break } catch {}
for (const path of ['/usr/lib/chromium/chromium', '/usr/bin/chromium']) try { versions.chromium = String(execFileSync(path, ['--version'], { timeout: 10000 })).match(/[\\d.]+/)[0]; break } catch {}
Promise.all(targets.map(async t => await tried(t) ? t.name : null)).then(found =>
  fs.writeFileSync('${podPaths.lastWords}', JSON.stringify({ open: found.filter(Boolean), versions })))
`

export interface ProbeParts {
  objects: ClusterObjects
  settings: KubernetesSettings
  clock: Clock
  image: string
  /** The API server as pods reach it. */
  apiServer: { host: string; port: number }
}

export async function probeCluster(parts: ProbeParts, signal: AbortSignal): Promise<ProbeResult> {
  const { objects, settings, clock } = parts
  const name = `porthole-probe-${settings.agentName}`.slice(0, 63)
  const labels = ownLabels(settings.agentName, 'probe')
  const late = new AbortController()
  const cancel = clock.after(wholeMs, () => late.abort(new Error('the probe took too long')))
  const until = AbortSignal.any([signal, late.signal])
  let made: Pod | null = null
  try {
    await sweep(objects, name, until)
    await objects.ensure<NetworkPolicy>('networkpolicies', probePolicy(name, labels, settings), labels, until)
    made = (await objects.ensure<Pod>('pods', probePod(name, labels, parts), labels, until)).object
    for (;;) {
      await sleep(clock, 700, until)
      until.throwIfAborted()
      const pod = await objects.find<Pod>('pods', name, until)
      if (!pod) return unknown('the probe pod was removed')
      const waiting = pod.status?.phase === 'Pending' ? podWaiting(pod, []) : null
      if (waiting?.hopeless) return unknown(waiting.reason)
      const over = pod.status?.containerStatuses?.[0]?.state?.terminated
      if (over) return judge(over.message ?? '', over.exitCode)
      if (pod.status?.phase === 'Failed') return unknown(pod.status.message ?? pod.status.reason ?? 'the probe pod failed')
    }
  } catch (error) {
    signal.throwIfAborted()
    return unknown((error as Error).message)
  } finally {
    cancel()
    if (made) await sweep(objects, name, AbortSignal.any([signal, AbortSignal.timeout(20_000)])).catch(() => {})
  }
}

function judge(message: string, exitCode: number): ProbeResult {
  let found: z.infer<typeof Found>
  try {
    found = Found.parse(JSON.parse(message))
  } catch {
    return unknown(`the probe said nothing that can be understood (exit code ${exitCode})`)
  }
  const { open, versions } = found
  const note =
    open.length > 0
      ? `This cluster does not enforce NetworkPolicy: a session could reach ${open.join(' and ')}. Egress rules of sessions have no effect here.`
      : 'NetworkPolicy is enforced: a test pod could not reach the API server or cloud metadata.'
  return { enforced: open.length === 0, versions, note }
}

const unknown = (why: string): ProbeResult => ({
  enforced: null,
  versions: {},
  note: `Whether this cluster enforces NetworkPolicy could not be tested: ${why}`,
})

async function sweep(objects: ClusterObjects, name: string, signal: AbortSignal): Promise<void> {
  const pod = await objects.find<Pod>('pods', name, signal)
  if (pod) {
    await objects.remove('pods', name, pod.metadata!.uid!, signal, 0)
    while (!signal.aborted && (await objects.find<Pod>('pods', name, signal))?.metadata?.uid === pod.metadata!.uid)
      await new Promise(resolve => setTimeout(resolve, 300))
  }
  const policy = await objects.find<NetworkPolicy>('networkpolicies', name, signal)
  if (policy) await objects.remove('networkpolicies', name, policy.metadata!.uid!, signal)
}

function probePolicy(name: string, labels: Record<string, string>, settings: KubernetesSettings): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: settings.namespace, labels },
    spec: {
      podSelector: { matchLabels: labels },
      policyTypes: ['Ingress', 'Egress'],
      ingress: [],
      egress: egressRules({ mode: 'public', allow: [] }, settings.network),
    },
  }
}

function probePod(name: string, labels: Record<string, string>, { settings, image, apiServer }: ProbeParts): Pod {
  const targets = [
    { name: 'the API server', ...apiServer },
    { name: 'cloud metadata', host: '169.254.169.254', port: 80 },
  ]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: settings.namespace, labels },
    spec: {
      ...podRules(settings),
      activeDeadlineSeconds: 60,
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'probe',
          image,
          imagePullPolicy: settings.imagePullPolicy,
          command: ['node', '-e', script, JSON.stringify(targets)],
          env: [{ name: 'HOME', value: '/tmp' }],
          resources: {
            requests: { cpu: cpuQuantity(50), memory: bytesQuantity(64 * 2 ** 20) },
            limits: { cpu: cpuQuantity(500), memory: bytesQuantity(256 * 2 ** 20) },
          },
          securityContext: containerRules,
          volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
        },
      ],
      volumes: [{ name: 'tmp', emptyDir: {} }],
    },
  }
}
