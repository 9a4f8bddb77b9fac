/** What may be asked for here: from the settings, the server's version, the namespace's quota and the probe. */
import type { Capabilities } from '../runtime.ts'
import type { ProbeResult } from './cluster-probe.ts'
import type { KubeClient } from './kube-client.ts'
import { parseQuantity } from './quantity.ts'
import type { KubernetesSettings } from './settings.ts'
import type { KubeList, Quota } from './wire.ts'

/** Where nothing says how many, the agent's policy does. */
const unlimited = 100_000

export async function clusterCapabilities(
  client: KubeClient,
  settings: KubernetesSettings,
  probe: ProbeResult | null,
  signal: AbortSignal,
): Promise<Capabilities> {
  const [version, quotas, shells] = await Promise.all([
    serverVersion(client, signal),
    quotasOf(client, settings.namespace, signal),
    mayExec(client, settings.namespace, signal),
  ])
  const { browser, desktop, display } = settings.images
  const kinds = [...(browser ? ['browser'] : []), ...(desktop ? ['desktop'] : []), ...(display ? ['app'] : [])]
  const features = [
    'display',
    'volumes',
    'logs',
    'files',
    'ports',
    'screenshot',
    'warm',
    ...(probe?.enforced ? ['egress'] : []),
    ...(shells ? ['exec', 'exec_jobs'] : []),
    ...(settings.places.length > 0 ? ['logs_jobs'] : []),
  ]
  return {
    runtime: 'kubernetes',
    kinds,
    browsers: browser ? settings.browsers : [],
    features,
    versions: { ...probe?.versions, kubernetes: version },
    notes: notesOf(settings, probe),
    capacity: capacityOf(quotas),
  }
}

export function capacityOf(quotas: Quota[]): Capabilities['capacity'] {
  const least = (...names: string[]) => {
    const all = quotas.flatMap(quota => names.map(name => parseQuantity((quota.spec?.hard as Record<string, string>)?.[name])))
    const known = all.filter(amount => amount !== null)
    return known.length > 0 ? Math.min(...known) : null
  }
  const cpu = least('limits.cpu')
  const memory = least('limits.memory')
  return {
    sessions: Math.floor(least('pods', 'count/pods') ?? unlimited),
    cpu_millis: cpu === null ? null : Math.round(cpu * 1000),
    memory_bytes: memory === null ? null : Math.round(memory),
  }
}

function notesOf(settings: KubernetesSettings, probe: ProbeResult | null): string[] {
  return [
    ...(settings.seccompProfile === null
      ? ['Chromium runs without its own sandbox: seccomp profile RuntimeDefault denies user namespaces. The pod is the wall.']
      : []),
    ...(settings.prepareVolumes ? ['Volumes are handed over by a container that runs as root.'] : []),
    ...(probe ? [probe.note] : []),
  ]
}

async function serverVersion(client: KubeClient, signal: AbortSignal): Promise<string> {
  const answer = await client.request<{ gitVersion?: string }>({
    method: 'GET',
    path: '/version',
    priority: 'look',
    signal,
    patienceMs: 5_000,
  })
  return (answer.gitVersion ?? '').replace(/^v/, '')
}

/** Whether the operator gave us `pods/exec` there; older servers ask for `get`, newer ones for `create` too. */
async function mayExec(client: KubeClient, namespace: string, signal: AbortSignal): Promise<boolean> {
  const may = async (verb: string) => {
    const spec = { resourceAttributes: { namespace, verb, resource: 'pods', subresource: 'exec' } }
    const review = await client.request<{ status?: { allowed?: boolean } }>({
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec },
      priority: 'look',
      signal,
      patienceMs: 5_000,
    })
    return review.status?.allowed === true
  }
  const answers = await Promise.all([may('get'), may('create')]).catch(() => [false])
  return answers.every(Boolean)
}

async function quotasOf(client: KubeClient, namespace: string, signal: AbortSignal): Promise<Quota[]> {
  const path = `/api/v1/namespaces/${namespace}/resourcequotas`
  // Without that right the figures are merely unknown.
  const list = await client
    .request<KubeList<Quota>>({ method: 'GET', path, priority: 'look', signal, patienceMs: 5_000 })
    .catch(() => ({ items: [] }))
  return list.items
}
