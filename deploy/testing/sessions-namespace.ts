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
    async left() {
      const kinds = ['api/v1 pods', 'api/v1 persistentvolumeclaims', 'apis/networking.k8s.io/v1 networkpolicies']
      const found: string[] = []
      for (const kind of kinds) {
        const [group, plural] = kind.split(' ')
        const { body } = await admin.ask('GET', `/${group}/namespaces/${sessions}/${plural}?labelSelector=porthole.dev/agent`)
        for (const item of body.items as KubeObject[]) found.push(`${plural}/${item.metadata.name}`)
      }
      return found
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
