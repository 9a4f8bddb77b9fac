/**
 * A pair of namespaces as the chart makes them, and a KubeConfig that is the agent's own ServiceAccount: what runs with it has exactly the rights
 * the chart grants. The images come from `PORTHOLE_TEST_IMAGES` (prefix, as docker/build.sh --name) and `PORTHOLE_TEST_TAG`.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { KubeConfig } from '@kubernetes/client-node'
import { type KubeObject, renderChart, type Values } from '../chart.ts'
import { KubeApi } from './kube-api.ts'

export const testImages = {
  prefix: process.env.PORTHOLE_TEST_IMAGES ?? 'localhost/porthole',
  tag: process.env.PORTHOLE_TEST_TAG ?? 'dev',
}

const chart = join(import.meta.dirname, '../helm/porthole-agent')
const isObject = (value: unknown): value is Values => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Small sessions on storage that ignores fsGroup, reached through the API server. */
const modest: Values = {
  url: 'http://porthole.invalid',
  namespace: { create: true },
  images: testImages,
  rbac: { nodes: true, exec: true },
  network: { dial: 'port-forward' },
}
const modestSessions: Values = {
  podSecurity: { level: 'baseline' },
  prepareVolumes: true,
  homeMiB: 64,
  keepHomes: ['browser', 'desktop'],
  defaults: { cpuMillis: 2000, memoryMiB: 1536, requestCpuMillis: 50, requestMemoryMiB: 128 },
}

const kinds = [
  ['api/v1', 'pods'],
  ['api/v1', 'persistentvolumeclaims'],
  ['apis/networking.k8s.io/v1', 'networkpolicies'],
] as const
/** The cluster's own steps (the kubelet's, the collector's) come one after the other, each in its own time. */
const patienceMs = 180_000
const named = ({ kind, metadata }: KubeObject) => `${kind}/${metadata.name}`
/** What one would ask kubectl about something that does not go. */
function holdup({ kind, metadata, status }: KubeObject): string {
  const { name, deletionTimestamp, finalizers } = metadata as { name: string; deletionTimestamp?: string; finalizers?: string[] }
  const { phase, containerStatuses } = (status ?? {}) as { phase?: string; containerStatuses?: { state: object }[] }
  const about = {
    deletionTimestamp: deletionTimestamp ?? 'not deleted',
    finalizers,
    phase,
    states: containerStatuses?.map(each => each.state),
  }
  return `${kind}/${name} ${JSON.stringify(about)}`
}

export interface SessionsNamespace {
  admin: KubeApi
  system: string
  sessions: string
  /** Of the agent, as the chart's ConfigMap has it. */
  environment: Record<string, string>
  config: KubeConfig
  objects: KubeObject[]
  /** Applies what `sessionsNamespace` left out: the agent itself, as a pod. */
  deploy(): Promise<void>
  /** `pods/ses-a-g1`, …: everything of ours in the sessions' namespace. */
  left(): Promise<string[]>
  /** Resolves when nothing of ours whose name fits is left; tells what holds it up when that takes too long. */
  untilGone(fits?: (name: string) => boolean): Promise<void>
  dispose(): Promise<void>
}

export async function sessionsNamespace(values: Values = {}): Promise<SessionsNamespace> {
  const mark = randomBytes(4).toString('hex')
  const [system, sessions] = [`test-${mark}-system`, `test-${mark}-sessions`]
  const own = isObject(values.sessions) ? values.sessions : {}
  const objects = renderChart(chart, {
    name: 'agent',
    namespace: system,
    values: { ...modest, agentName: `t${mark}`, ...values, sessions: { ...modestSessions, ...own, namespace: sessions } },
  })
  const admin = new KubeApi()
  for (const object of objects) if (object.kind !== 'Deployment') await admin.apply(object)
  const account = objects.find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.namespace === system)!.metadata.name
  const policy = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.endsWith('-policy'))!
  const left = async () => {
    const found: KubeObject[] = []
    for (const [group, plural] of kinds) {
      const { body } = await admin.ask('GET', `/${group}/namespaces/${sessions}/${plural}?labelSelector=porthole.dev/agent`)
      for (const item of body.items as KubeObject[]) found.push({ ...item, kind: plural })
    }
    return found
  }
  return {
    admin,
    system,
    sessions,
    objects,
    environment: policy.data as Record<string, string>,
    config: agentConfig(await tokenOf(admin, account, system)),
    async deploy() {
      for (const object of objects) if (object.kind === 'Deployment') await admin.apply(object)
    },
    left: async () => (await left()).map(named),
    async untilGone(fits = () => true) {
      const last = performance.now() + patienceMs
      for (;;) {
        const still = (await left()).filter(object => fits(named(object)))
        if (still.length === 0) return
        if (performance.now() > last) throw new Error(`left after ${patienceMs / 1000} s: ${still.map(holdup).join('; ')}`)
        await new Promise(done => setTimeout(done, 300))
      }
    },
    async dispose() {
      for (const object of objects)
        if (object.kind.startsWith('Cluster'))
          await admin.ask('DELETE', `/apis/rbac.authorization.k8s.io/v1/${object.kind.toLowerCase()}s/${object.metadata.name}`)
      for (const namespace of [sessions, system]) await admin.ask('DELETE', `/api/v1/namespaces/${namespace}`)
      admin.close()
    },
  }
}

export async function tokenOf(admin: KubeApi, account: string, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [] } }
  const answer = await admin.ask('POST', path, body)
  if (answer.status !== 201) throw new Error(`no token: ${String(answer.body.message)}`)
  return (answer.body.status as { token: string }).token
}

function agentConfig(token: string): KubeConfig {
  const config = new KubeConfig()
  config.loadFromFile(process.env.KUBECONFIG!)
  const cluster = config.getCurrentCluster()!
  config.loadFromClusterAndUser(cluster, { name: 'agent', token })
  return config
}
