import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readConfig } from '#agent/config.ts'
import { kubernetesSettings } from '#agent/runtimes/kubernetes/settings.ts'
import { type KubeObject, renderChart, setValue, type Values } from './chart.ts'
import { manifestFiles } from './manifests.ts'
import { insecurities, podOf } from './pod-security.ts'

const here = import.meta.dirname
const agent = (values: Values = {}) =>
  renderChart(join(here, 'helm/porthole-agent'), {
    name: 'agent',
    namespace: 'system',
    values: { url: 'https://a.example', joinToken: 'join-secret-word', ...values },
  })
const api = (values: Values = {}) =>
  renderChart(join(here, 'helm/porthole'), {
    name: 'porthole',
    namespace: 'porthole',
    values: { postgres: { password: 'abc' }, ...values },
  })

/** In Kubernetes 1.20 and in today's. */
const versions: Record<string, string[]> = {
  v1: ['ConfigMap', 'LimitRange', 'Namespace', 'PersistentVolumeClaim', 'ResourceQuota', 'Secret', 'Service', 'ServiceAccount'],
  'apps/v1': ['Deployment', 'StatefulSet'],
  'networking.k8s.io/v1': ['Ingress', 'NetworkPolicy'],
  'rbac.authorization.k8s.io/v1': ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'],
}
const clusterScoped = [
  'Namespace',
  'ClusterRole',
  'ClusterRoleBinding',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
]

const everything: Values = {
  caBundle: '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n',
  images: { prefix: 'registry.example/p', tag: '1.0', pullSecrets: ['pull'] },
  nodeSelector: { disk: 'ssd' },
  tolerations: [{ key: 'a', operator: 'Exists' }],
  podAnnotations: { 'a/b': 'c: d' },
  extraEnv: [{ name: 'A', value: '1' }],
  exitWithoutLinkSeconds: 300,
  recordings: { enabled: true },
  namespace: { create: true },
  rbac: { exec: true, nodes: true },
  sessions: { podSecurity: { level: 'baseline' }, prepareVolumes: true, nodeSelector: { a: 'b' }, tolerations: [{ key: 'x' }] },
}
const cases: [string, KubeObject[]][] = [
  ['agent, defaults', agent()],
  ['agent, everything', agent(everything)],
  ['agent, little', agent({ quota: { enabled: false }, network: { policies: false }, sessions: { createNamespace: false } })],
  ['API, defaults', api()],
  [
    'API, own database',
    api({
      database: { existingSecret: 'db' },
      replicas: 3,
      secrets: { existingSecret: 'seals' },
      ingress: { enabled: true, host: 'p.example', tlsSecret: 'tls', className: 'nginx' },
    }),
  ],
]

describe.each(cases)('%s', (_, objects) => {
  it('has versions that every cluster from 1.20 on knows', () => {
    const unknown = objects.filter(({ apiVersion, kind }) => !versions[apiVersion]?.includes(kind)).map(({ kind }) => kind)
    expect(unknown).toEqual([])
  })
  it('names everything once, in a namespace', () => {
    const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`)
    expect(new Set(names).size).toBe(names.length)
    for (const { kind, metadata } of objects)
      expect([metadata.name, metadata.namespace === undefined]).toEqual([metadata.name, clusterScoped.includes(kind)])
  })
  it('has only pods that the restricted standard allows', () => {
    const pods = objects.map(podOf).filter(pod => pod !== null)
    expect(pods.length).toBeGreaterThan(0)
    expect(pods.flatMap(insecurities)).toEqual([])
  })
})

describe('an insecure pod is found', () => {
  const pod = () => structuredClone(podOf(agent().find(({ kind }) => kind === 'Deployment')!)!)
  type Pod = ReturnType<typeof pod>
  it.each<[string, (pod: Pod) => void]>([
    ['host network', pod => void (pod.hostNetwork = true)],
    ['root', pod => void (pod.securityContext!.runAsUser = 0)],
    ['no seccomp', pod => void delete pod.securityContext!.seccompProfile],
    ['unconfined', pod => void (pod.securityContext!.seccompProfile!.type = 'Unconfined')],
    ['hostPath', pod => void pod.volumes!.push({ name: 'x', hostPath: { path: '/' } })],
    ['privileged', pod => void (pod.containers[0]!.securityContext!.privileged = true)],
    ['a capability', pod => void (pod.containers[0]!.securityContext!.capabilities!.add = ['NET_ADMIN'])],
    ['a writable image', pod => void delete pod.containers[0]!.securityContext!.readOnlyRootFilesystem],
    ['no limit', pod => void delete pod.containers[0]!.resources!.limits],
    ['latest', pod => void (pod.containers[0]!.image = 'a/b:latest')],
  ])('%s', (_, spoil) => {
    const spoilt = pod()
    spoil(spoilt)
    expect(insecurities(spoilt)).toHaveLength(1)
  })
})

const policyOf = (objects: KubeObject[]) =>
  objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.endsWith('-policy'))!.data as Record<string, string>

it('the agent understands what the chart tells it', () => {
  const policy = policyOf(
    agent({
      agentName: 'second',
      policy: {
        maxSessions: 7,
        maxTtlSeconds: 600,
        allowedKinds: ['browser'],
        allowedImages: ['quay.example/*'],
        featuresOff: ['cdp'],
      },
      sessions: {
        namespace: 'work',
        images: { browser: 'r/browser:1' },
        seccompProfile: 'porthole/chromium.json',
        nodeSelector: { a: 'b' },
        tolerations: [{ key: 'k', operator: 'Exists' }],
        keepHomes: ['desktop', 'app'],
      },
      network: { deniedCidrs: ['1.2.3.0/24'], dns: { namespaceLabels: { a: 'b' } }, dial: 'pod-ip', selfTest: 'require' },
    }),
  )
  const config = readConfig(policy)
  expect(config).toMatchObject({
    origin: 'https://a.example',
    runtime: 'kubernetes',
    policy: {
      maxSessions: 7,
      maxTtlMs: 600_000,
      kinds: ['browser'],
      featuresOff: ['cdp'],
      images: expect.arrayContaining(['quay.example/*', 'r/browser:1']),
    },
  })
  expect(kubernetesSettings(policy)).toMatchObject({
    kubeconfig: undefined,
    agentName: 'second',
    namespace: 'work',
    systemNamespace: 'system',
    serviceAccount: 'porthole-workload',
    images: { browser: 'r/browser:1', display: 'localhost/porthole/display:dev' },
    seccompProfile: 'porthole/chromium.json',
    nodeSelector: { a: 'b' },
    tolerations: [{ key: 'k', operator: 'Exists' }],
    keepHomes: ['desktop', 'app'],
    network: {
      agentPodLabels: { 'app.kubernetes.io/name': 'porthole-agent', 'app.kubernetes.io/instance': 'second' },
      dns: { namespace: { a: 'b' }, pod: { 'k8s-app': 'kube-dns' } },
      denied: ['1.2.3.0/24'],
    },
    dial: 'pod-ip',
    selfTest: 'require',
  })
})

it('every setting of the chart is one the agent reads', () => {
  const read = ['config.ts', 'runtimes/kubernetes/settings.ts']
    .map(file => readFileSync(join(here, '../agent', file), 'utf8'))
    .join('\n')
  const deployment = agent().find(({ kind }) => kind === 'Deployment')!
  const names = [
    ...Object.keys(policyOf(agent())),
    ...(podOf(deployment)!.containers[0] as unknown as { env: { name: string }[] }).env.map(({ name }) => name),
  ]
  expect(names.length).toBeGreaterThan(30)
  expect(names.filter(name => !new RegExp(`^ +${name}:`, 'm').test(read))).toEqual([])
})

/** What `z.object` of a settings file names. */
const settingsIn = (file: string) =>
  [...readFileSync(join(here, '..', file), 'utf8').matchAll(/^ {2}([A-Z][A-Z_]+): /gm)].map(([, name]) => name!)
const toldTo = (objects: KubeObject[], kind: string) => {
  const workload = podOf(objects.find(each => each.kind === kind && each.metadata.name !== 'porthole-postgres')!)!
  return (workload.containers[0] as unknown as { env: { name: string }[] }).env.map(({ name }) => name)
}

it('every setting the agent reads is offered by the chart', () => {
  const all = agent({
    recordings: { enabled: true },
    exitWithoutLinkSeconds: 300,
    policy: { maxTtlSeconds: 60 },
  })
  const told = [...Object.keys(policyOf(all)), ...toldTo(all, 'Deployment')]
  const read = ['agent/config.ts', 'agent/runtimes/kubernetes/settings.ts'].flatMap(settingsIn)
  expect(read.length).toBeGreaterThan(50)
  // In a pod there is no kubeconfig to name.
  expect(read.filter(name => !told.includes(name))).toEqual(['KUBECONFIG'])
})

it('every setting the API reads is offered by the chart', () => {
  const told = toldTo(api({ secrets: { existingSecret: 'seals' } }), 'StatefulSet')
  expect(settingsIn('api/node/config.ts').filter(name => !told.includes(name))).toEqual([])
})

describe('recordings', () => {
  const claims = (objects: KubeObject[]) => objects.filter(({ kind }) => kind === 'PersistentVolumeClaim')
  const volumes = (objects: KubeObject[]) => podOf(objects.find(({ kind }) => kind === 'Deployment')!)!.volumes!
  it('have no volume and no folder until they are switched on', () => {
    expect(claims(agent())).toEqual([])
    expect(readConfig(policyOf(agent())).recordings.folder).toBeNull()
  })
  it('are on a volume that outlives the release', () => {
    const objects = agent({ recordings: { enabled: true, storage: '5Gi', storageClass: 'slow', maxMiBPerSession: 64 } })
    expect(claims(objects)).toMatchObject([
      {
        metadata: { name: 'porthole-agent-recordings', annotations: { 'helm.sh/resource-policy': 'keep' } },
        spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'slow', resources: { requests: { storage: '5Gi' } } },
      },
    ])
    expect(volumes(objects)).toContainEqual({
      name: 'recordings',
      persistentVolumeClaim: { claimName: 'porthole-agent-recordings' },
    })
    const { recordings } = readConfig(policyOf(objects))
    expect(recordings).toEqual({ folder: '/recordings', maxBytes: 64 * 2 ** 20 })
    const { volumeMounts } = podOf(objects.find(({ kind }) => kind === 'Deployment')!)!.containers[0] as unknown as {
      volumeMounts: object[]
    }
    expect(volumeMounts).toContainEqual({ name: 'recordings', mountPath: recordings.folder })
  })
  it('may be on a claim of one’s own', () => {
    const objects = agent({ recordings: { enabled: true, existingClaim: 'mine' } })
    expect(claims(objects)).toEqual([])
    expect(volumes(objects)).toContainEqual({ name: 'recordings', persistentVolumeClaim: { claimName: 'mine' } })
  })
})

it('an empty list of images allows the cluster’s own, not all', () => {
  const { policy } = readConfig(policyOf(agent()))
  expect(policy.images).toEqual(['localhost/porthole/browser:dev', 'localhost/porthole/desktop:dev'])
})

it('the join token is in a Secret and nowhere else', () => {
  const secret = Buffer.from('join-secret-word').toString('base64')
  const places = agent().filter(object => [secret, 'join-secret-word'].some(word => JSON.stringify(object).includes(word)))
  expect(places.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(['Secret porthole-agent-join'])
  const mine = JSON.stringify(agent({ existingJoinSecret: 'mine' }))
  expect([mine.includes(secret), mine.includes('join-secret-word')]).toEqual([false, false])
})

it('other settings, another pod; the same settings, the same pod', () => {
  const stamp = (values: Values) => {
    const { template } = agent(values).find(({ kind }) => kind === 'Deployment')!.spec as {
      template: { metadata: KubeObject['metadata'] }
    }
    return template.metadata.annotations!['porthole.dev/values']
  }
  expect(stamp({})).toBe(stamp({}))
  expect(stamp({ policy: { maxSessions: 3 } })).not.toBe(stamp({}))
})

it('sessions are walled in from the first moment', () => {
  const objects = agent()
  const namespace = objects.find(({ kind, metadata }) => kind === 'Namespace' && metadata.name === 'porthole-sessions')!
  expect(namespace.metadata.labels).toMatchObject({
    'pod-security.kubernetes.io/enforce': 'restricted',
    'pod-security.kubernetes.io/enforce-version': expect.stringMatching(/^v1\.\d+$/),
  })
  const closed = objects.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'porthole-closed')!
  expect(closed.spec).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
  const quota = objects.find(({ kind }) => kind === 'ResourceQuota')!.spec as { hard: Record<string, string> }
  expect(quota.hard.services).toBe('0')
})

describe('refused', () => {
  it.each<[string, Values, RegExp]>([
    ['no address', { url: '' }, /url is needed/],
    ['a wrong scheme', { url: 'ftp://a' }, /url/],
    ['a path in the address', { url: 'https://a.example/x/y' }, /url/],
    ['a misspelt name', { policy: { maxSession: 3 } }, /policy/],
    ['a misspelt section', { polices: {} }, /polices/],
    ['no sessions', { policy: { maxSessions: 0 } }, /policy\.maxSessions/],
    ['half a session', { policy: { maxSessions: 1.5 } }, /policy\.maxSessions/],
    ['an unknown kind', { policy: { allowedKinds: ['vm'] } }, /policy\.allowedKinds/],
    ['an image with a comma', { policy: { allowedImages: ['a,b'] } }, /policy\.allowedImages/],
    ['privileged', { sessions: { podSecurity: { level: 'privileged' } } }, /podSecurity\.level/],
    ['root', { sessions: { runAsUser: 0 } }, /runAsUser/],
    ['an absolute profile', { sessions: { seccompProfile: '/etc/x' } }, /seccompProfile/],
    ['a namespace with a dot', { sessions: { namespace: 'a.b' } }, /sessions\.namespace/],
    ['sessions beside the agent', { sessions: { namespace: 'system' } }, /must not be the agent's own namespace/],
    ['a root container under restricted', { sessions: { prepareVolumes: true } }, /podSecurity\.level=baseline/],
    ['an address without a prefix', { network: { deniedCidrs: ['10.0.0.1'] } }, /deniedCidrs/],
    ['a quantity in words', { maxPerSession: { cpu: 'lots' } }, /maxPerSession\.cpu/],
    ['homes of nothing, which would mean the default', { sessions: { keepHomes: [] } }, /keepHomes/],
    ['text for a switch', { rbac: { exec: 'yes' } }, /rbac\.exec/],
    ['too short a wait for the link', { exitWithoutLinkSeconds: 5 }, /exitWithoutLinkSeconds/],
    ['recordings in words', { recordings: { storage: 'much' } }, /recordings\.storage/],
    ['a certificate that is none', { caBundle: 'abc' }, /caBundle/],
  ])('%s', (_, values, told) => expect(() => agent(values)).toThrow(told))

  it.each<[string, Values, RegExp]>([
    ['no database', { postgres: { enabled: false } }, /a database is needed/],
    ['no password', { postgres: { password: '' } }, /postgres\.password is needed/],
    ['a password that breaks the address', { postgres: { password: 'a@b' } }, /postgres\.password/],
    ['an ingress without a host', { ingress: { enabled: true } }, /ingress\.host is needed/],
    ['no replica', { replicas: 0 }, /replicas/],
    ['replicas that could not read each other’s secrets', { replicas: 2 }, /must seal secrets with one key/],
  ])('API: %s', (_, values, told) => expect(() => api(values)).toThrow(told))
})

it.each([
  ['a=1', { a: 1 }],
  ['a.b=true', { a: { b: true } }],
  ['a.b={x,y}', { a: { b: ['x', 'y'] } }],
  ['a={}', { a: [] }],
  ['a=1.0', { a: '1.0' }],
  ['a=https://b.example/?c=d', { a: 'https://b.example/?c=d' }],
])('--set %s', (assignment, made) => expect(setValue({}, assignment)).toEqual(made))

it.each(manifestFiles(here))('manifests/$file is what the chart makes', ({ file, text }) => {
  expect(readFileSync(join(here, 'manifests', file), 'utf8')).toBe(text)
})
