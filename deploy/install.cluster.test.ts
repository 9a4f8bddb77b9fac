/** The chart in a real cluster: it applies, applies again without a change, and what the agent's own token may then do, and what not. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type KubeObject, renderChart } from './chart.ts'
import { collectionOf, KubeApi, pathOf } from './testing/kube-api.ts'

const mark = randomBytes(4).toString('hex')
const system = `test-${mark}-system`
const sessions = `test-${mark}-sessions`
const admin = new KubeApi()
const objects = renderChart(join(import.meta.dirname, 'helm/porthole-agent'), {
  name: 'agent',
  namespace: system,
  values: {
    url: 'https://porthole.example',
    joinToken: 'join-test',
    namespace: { create: true },
    sessions: { namespace: sessions },
    maxPerSession: { cpu: '2', memory: '2Gi', storage: '1Gi' },
  },
})
// What is tried out here is the API server's answer: no pod of the agent has to run for that.
const applied = objects.filter(({ kind }) => kind !== 'Deployment')
const workload = objects.find(({ kind }) => kind === 'Deployment')!
let agent: KubeApi

async function tokenOf(name: string, namespace: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`
  const { status, body } = await admin.ask('POST', path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [] },
  })
  if (status !== 201) throw new Error(`no token: ${String(body.message)}`)
  return (body.status as { token: string }).token
}

beforeAll(async () => {
  for (const object of applied) await admin.apply(object)
  agent = admin.as(await tokenOf('porthole-agent', system))
})

afterAll(async () => {
  agent?.close()
  for (const namespace of [sessions, system]) await admin.ask('DELETE', `/api/v1/namespaces/${namespace}`)
  admin.close()
})

const pod = (namespace: string, spec: object = {}, container: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'try', namespace },
  spec: { containers: [{ name: 'a', image: 'example/none:1', ...container }], ...spec },
})
const pods = (namespace: string) => `/api/v1/namespaces/${namespace}/pods`
const dry = '?dryRun=All'

/** What the chart decides of an object: the cluster's own controllers count quotas and give accounts their tokens, at any moment. */
function decided(object: Record<string, unknown>): object {
  const { status: _status, secrets: _secrets, metadata, ...rest } = object
  const { resourceVersion: _version, managedFields, ...about } = metadata as Record<string, unknown>
  const ours = (managedFields as { manager: string; operation: string; time?: string }[])
    .filter(({ manager }) => manager === 'test')
    .map(({ time: _time, ...fields }) => fields)
  return { ...rest, metadata: { ...about, managedFields: ours } }
}

it('applies a second time without changing anything', async () => {
  for (const object of applied) {
    const before = (await admin.ask('GET', pathOf(object))).body
    expect(decided(await admin.apply(object))).toEqual(decided(before))
  }
})

async function serverTime(): Promise<number> {
  const { body } = await admin.ask('POST', `/api/v1/namespaces/${system}/configmaps${dry}`, { metadata: { name: 'time' } })
  return Date.parse((body.metadata as { creationTimestamp: string }).creationTimestamp)
}

// The server keeps no stringData, so that each apply of it would be a change: of a Secret, and of whatever watches it.
it('writes nothing at all where nobody else writes either', async () => {
  const quiet = applied.filter(({ kind }) => ['Secret', 'ConfigMap', 'Role', 'RoleBinding', 'NetworkPolicy'].includes(kind))
  const versionOf = (body: Record<string, unknown>) => (body.metadata as { resourceVersion: string }).resourceVersion
  const before = await Promise.all(quiet.map(async object => versionOf((await admin.ask('GET', pathOf(object))).body)))
  // Times of changes are whole seconds of the server: within one of them a change of nothing but the time is none.
  const written = await serverTime()
  await expect.poll(serverTime, { timeout: 60_000, interval: 200 }).toBeGreaterThan(written)
  const after = []
  for (const object of quiet) after.push(versionOf(await admin.apply(object)))
  const named = (versions: string[]) => quiet.map(({ kind, metadata }, at) => `${kind} ${metadata.name} ${versions[at]}`)
  expect(named(after)).toEqual(named(before))
})

it('the Deployment is one that the server takes', async () => {
  const { status, body } = await admin.ask(
    'POST',
    `/apis/apps/v1/namespaces/${system}/deployments${dry}&fieldValidation=Strict`,
    workload,
  )
  expect([status, body.message]).toEqual([201, undefined])
})

it('the API’s chart is one that the server takes', async () => {
  const chart = join(import.meta.dirname, 'helm/porthole')
  const values = { postgres: { password: 'abc' }, ingress: { enabled: true, host: 'porthole.example', tlsSecret: 'tls' } }
  for (const object of renderChart(chart, { name: 'porthole', namespace: system, values })) {
    const { status, body } = await admin.ask('POST', `${collectionOf(object)}${dry}&fieldValidation=Strict`, object)
    expect([object.kind, status, body.message]).toEqual([object.kind, 201, undefined])
  }
})

describe('the agent may', () => {
  it.each<[string, string, () => string, unknown?]>([
    ['see pods', 'GET', () => pods(sessions)],
    ['watch pods', 'GET', () => `${pods(sessions)}?watch=1&timeoutSeconds=1`],
    ['read events', 'GET', () => `/api/v1/namespaces/${sessions}/events`],
    ['see claims', 'GET', () => `/api/v1/namespaces/${sessions}/persistentvolumeclaims`],
    ['see policies', 'GET', () => `/apis/networking.k8s.io/v1/namespaces/${sessions}/networkpolicies`],
    ['see the quota', 'GET', () => `/api/v1/namespaces/${sessions}/resourcequotas`],
    ['read its Secret', 'GET', () => `/api/v1/namespaces/${system}/secrets/porthole-agent-porthole`],
  ])('%s', async (_, method, path) => expect((await agent.ask(method, path())).status).toBe(200))

  it('make a pod, a claim, a policy, a Lease', async () => {
    const claim = {
      metadata: { name: 'try' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    }
    const made = await Promise.all([
      agent.ask('POST', pods(sessions) + dry, pod(sessions)),
      agent.ask('POST', `/api/v1/namespaces/${sessions}/persistentvolumeclaims${dry}`, claim),
      agent.ask('POST', `/apis/networking.k8s.io/v1/namespaces/${sessions}/networkpolicies${dry}`, {
        metadata: { name: 'try' },
        spec: { podSelector: {} },
      }),
      agent.ask('POST', `/apis/coordination.k8s.io/v1/namespaces/${system}/leases${dry}`, {
        metadata: { name: 'porthole-agent-porthole' },
      }),
    ])
    expect(made.map(({ status, body }) => [status, body.message])).toEqual(made.map(() => [201, undefined]))
  })

  it('keep a key that an upgrade leaves alone', async () => {
    const secret = applied.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === 'porthole-agent-porthole')!
    const filled = await agent.ask('PATCH', pathOf(secret), { data: { key: 'YWJj' } }, 'application/merge-patch+json')
    expect(filled.status).toBe(200)
    await admin.apply(secret)
    expect((await agent.ask('GET', pathOf(secret))).body.data).toEqual({ key: 'YWJj' })
  })
})

// Kubernetes' "RBAC good practices": what leads from a right to more than it. Then what this agent must not reach in particular.
describe('the agent may not', () => {
  const anywhere = 'kube-system'
  const rules = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }]
  const subject = { kind: 'ServiceAccount', name: 'porthole-agent', namespace: system }
  const clusterAdmin = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const certificates = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
  const admission = '/apis/admissionregistration.k8s.io/v1'
  it.each<[string, string, string, unknown?, string?]>([
    ['list all Secrets', 'GET', '/api/v1/secrets'],
    ['list Secrets beside it', 'GET', `/api/v1/namespaces/${system}/secrets`],
    ['watch Secrets beside it', 'GET', `/api/v1/namespaces/${system}/secrets?watch=1&timeoutSeconds=1`],
    ['read another Secret beside it', 'GET', `/api/v1/namespaces/${system}/secrets/porthole-agent-join`],
    ['read Secrets of sessions', 'GET', `/api/v1/namespaces/${sessions}/secrets`],
    ['read Secrets of the cluster', 'GET', `/api/v1/namespaces/${anywhere}/secrets`],
    [
      'make a Secret',
      'POST',
      `/api/v1/namespaces/${system}/secrets`,
      { metadata: { name: 'a' }, type: 'kubernetes.io/service-account-token' },
    ],
    ['make pods beside it', 'POST', pods(system) + dry, pod(system, { serviceAccountName: 'porthole-agent' })],
    ['make pods elsewhere', 'POST', pods(anywhere) + dry, pod(anywhere)],
    ['see pods elsewhere', 'GET', pods(anywhere)],
    ['see all pods', 'GET', '/api/v1/pods'],
    ['make Deployments', 'POST', `/apis/apps/v1/namespaces/${sessions}/deployments${dry}`, { metadata: { name: 'a' } }],
    ['make DaemonSets', 'POST', `/apis/apps/v1/namespaces/${anywhere}/daemonsets${dry}`, { metadata: { name: 'a' } }],
    ['make Jobs', 'POST', `/apis/batch/v1/namespaces/${sessions}/jobs${dry}`, { metadata: { name: 'a' } }],
    ['exec elsewhere', 'POST', `${pods(anywhere)}/a/exec?command=sh`],
    ['exec in sessions', 'POST', `${pods(sessions)}/a/exec?command=sh`],
    ['exec by GET', 'GET', `${pods(sessions)}/a/exec?command=sh`],
    ['attach', 'POST', `${pods(sessions)}/a/attach`],
    ['forward ports elsewhere', 'POST', `${pods(anywhere)}/a/portforward`],
    ['proxy to pods', 'GET', `${pods(sessions)}/a/proxy/`],
    ['add debug containers', 'PATCH', `${pods(sessions)}/a/ephemeralcontainers`, {}, 'application/strategic-merge-patch+json'],
    [
      'make a volume of the node’s disk',
      'POST',
      `/api/v1/persistentvolumes${dry}`,
      { metadata: { name: 'a' }, spec: { hostPath: { path: '/' } } },
    ],
    ['go through the kubelet', 'GET', '/api/v1/nodes/node1/proxy/pods'],
    ['list nodes', 'GET', '/api/v1/nodes'],
    ['escalate', 'POST', `${rbac}/namespaces/${sessions}/roles${dry}`, { metadata: { name: 'a' }, rules }],
    [
      'change its own Role',
      'PATCH',
      `${rbac}/namespaces/${sessions}/roles/porthole-agent${dry}`,
      { rules },
      'application/merge-patch+json',
    ],
    ['make a ClusterRole', 'POST', `${rbac}/clusterroles${dry}`, { metadata: { name: 'a' }, rules }],
    [
      'bind',
      'POST',
      `${rbac}/namespaces/${sessions}/rolebindings${dry}`,
      { metadata: { name: 'a' }, roleRef: clusterAdmin, subjects: [subject] },
    ],
    [
      'bind for the cluster',
      'POST',
      `${rbac}/clusterrolebindings${dry}`,
      { metadata: { name: 'a' }, roleRef: clusterAdmin, subjects: [subject] },
    ],
    [
      'ask for a certificate',
      'POST',
      certificates + dry,
      {
        metadata: { name: 'a' },
        spec: { request: 'YQ==', signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'] },
      },
    ],
    ['approve a certificate', 'PUT', `${certificates}/a/approval`, { metadata: { name: 'a' } }],
    [
      'ask for a token of sessions',
      'POST',
      `/api/v1/namespaces/${sessions}/serviceaccounts/porthole-workload/token`,
      { spec: {} },
    ],
    ['ask for a token of the cluster', 'POST', `/api/v1/namespaces/${anywhere}/serviceaccounts/default/token`, { spec: {} }],
    ['make a ServiceAccount', 'POST', `/api/v1/namespaces/${sessions}/serviceaccounts${dry}`, { metadata: { name: 'a' } }],
    ['see or change admission', 'GET', `${admission}/mutatingwebhookconfigurations`],
    ['add a webhook', 'POST', `${admission}/validatingwebhookconfigurations${dry}`, { metadata: { name: 'a' } }],
    [
      'take the walls off its namespace',
      'PATCH',
      `/api/v1/namespaces/${sessions}`,
      { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'privileged' } } },
      'application/merge-patch+json',
    ],
    ['make a namespace', 'POST', `/api/v1/namespaces${dry}`, { metadata: { name: 'a' } }],
    [
      'change its policy',
      'PATCH',
      `/api/v1/namespaces/${system}/configmaps/porthole-agent-policy`,
      { data: {} },
      'application/merge-patch+json',
    ],
    ['read its policy by the API', 'GET', `/api/v1/namespaces/${system}/configmaps/porthole-agent-policy`],
    [
      'raise its quota',
      'PATCH',
      `/api/v1/namespaces/${sessions}/resourcequotas/porthole-sessions`,
      { spec: { hard: { pods: '999' } } },
      'application/merge-patch+json',
    ],
    ['lift its limits', 'DELETE', `/api/v1/namespaces/${sessions}/limitranges/porthole-sessions`],
    ['publish a session', 'POST', `/api/v1/namespaces/${sessions}/services${dry}`, { metadata: { name: 'a' } }],
    [
      'take another Lease',
      'PUT',
      `/apis/coordination.k8s.io/v1/namespaces/${system}/leases/other`,
      { metadata: { name: 'other' } },
    ],
  ])('%s', async (_, method, path, body, type) => {
    const answer = await agent.ask(method, path, body, type)
    expect([answer.status, answer.body.reason]).toEqual([403, 'Forbidden'])
  })

  it.each(['system:serviceaccount:kube-system:default', 'system:admin'])('be %s', async user => {
    const impersonated = await agent.impersonate(user, '/api/v1/namespaces')
    expect([impersonated.status, String(impersonated.body.message)]).toEqual([403, expect.stringContaining('cannot impersonate')])
  })
})

it('the ServiceAccount of sessions may do nothing there', async () => {
  const workloadApi = admin.as(await tokenOf('porthole-workload', sessions))
  try {
    const statuses = await Promise.all(
      [pods(sessions), `/api/v1/namespaces/${sessions}/secrets`, '/api/v1/nodes', '/api/v1/namespaces'].map(
        async path => (await workloadApi.ask('GET', path)).status,
      ),
    )
    expect(statuses).toEqual([403, 403, 403, 403])
  } finally {
    workloadApi.close()
  }
})

// The second wall: these hold for whoever makes the pod, the administrator too.
describe('the namespace itself', () => {
  it('gives a pod limits when it names none', async () => {
    const { status, body } = await admin.ask('POST', pods(sessions) + dry, pod(sessions))
    const [container] = (body.spec as { containers: { resources: unknown }[] }).containers
    expect([status, container!.resources]).toEqual([
      201,
      { limits: { cpu: '2', memory: '2Gi' }, requests: { cpu: '250m', memory: '512Mi' } },
    ])
  })
  it.each<[string, () => [string, unknown], RegExp]>([
    [
      'more memory than one session may have',
      () => [pods(sessions), pod(sessions, {}, { resources: { limits: { memory: '4Gi', cpu: '1' } } })],
      /maximum memory usage per Container is/,
    ],
    [
      'more processor',
      () => [pods(sessions), pod(sessions, {}, { resources: { limits: { memory: '1Gi', cpu: '3' } } })],
      /maximum cpu usage per Container is/,
    ],
    [
      'a Service',
      () => [`/api/v1/namespaces/${sessions}/services`, { metadata: { name: 'a' }, spec: { ports: [{ port: 80 }] } }],
      /exceeded quota/,
    ],
    [
      'a large claim',
      () => [
        `/api/v1/namespaces/${sessions}/persistentvolumeclaims`,
        { metadata: { name: 'a' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '5Gi' } } } },
      ],
      /maximum storage usage per PersistentVolumeClaim/,
    ],
  ])('refuses %s', async (_, what, told) => {
    const [path, body] = what()
    const answer = await admin.ask('POST', path + dry, body)
    expect([answer.status, String(answer.body.message)]).toEqual([403, expect.stringMatching(told)])
  })
})
