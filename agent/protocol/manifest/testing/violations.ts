/**
 * Manifests with exactly one thing wrong each, and where. The same table is tried on the check itself, on the API, and on an agent whose API does not
 * check. Container faults are tried in containers and initContainers, each in another kind, plain and in a List.
 */
export interface Violation {
  name: string
  text: string
  /** Of the fault that must be told. */
  pointer: string
}

type Value = unknown
const clone = <T>(value: T): T => structuredClone(value)

export const podSpec = { containers: [{ name: 'c', image: 'example/app:1' }] }
const meta = (name: string) => ({ name, labels: { app: name } })
const template = { metadata: { labels: { app: 'x' } }, spec: podSpec }
const selector = { matchLabels: { app: 'x' } }
const job = { template: { ...template, spec: { ...podSpec, restartPolicy: 'Never' } } }

/** A good object of each kind. */
export const good: Record<string, Record<string, Value>> = {
  Pod: { apiVersion: 'v1', kind: 'Pod', metadata: meta('x'), spec: podSpec },
  Deployment: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: meta('x'), spec: { replicas: 1, selector, template } },
  StatefulSet: {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: meta('x'),
    spec: { serviceName: 'x', selector, template },
  },
  Job: { apiVersion: 'batch/v1', kind: 'Job', metadata: meta('x'), spec: job },
  CronJob: {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: meta('x'),
    spec: { schedule: '*/5 * * * *', jobTemplate: { spec: job } },
  },
  Service: {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta('x'),
    spec: { selector: { app: 'x' }, ports: [{ port: 80, targetPort: 8080 }] },
  },
  ConfigMap: { apiVersion: 'v1', kind: 'ConfigMap', metadata: meta('x'), data: { a: 'b' } },
  Secret: { apiVersion: 'v1', kind: 'Secret', metadata: meta('x'), type: 'Opaque', stringData: { a: 'b' } },
  PersistentVolumeClaim: {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: meta('x'),
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
}

const podPath: Record<string, string> = {
  Pod: '/spec',
  Deployment: '/spec/template/spec',
  StatefulSet: '/spec/template/spec',
  Job: '/spec/template/spec',
  CronJob: '/spec/jobTemplate/spec/template/spec',
}

/** A good object with `value` put at the pointer. */
export function withValue(kind: string, pointer: string, value: Value): Record<string, Value> {
  return change(good[kind]!, pointer, value)
}

function change(base: Record<string, Value>, pointer: string, value: Value): Record<string, Value> {
  const object = clone(base)
  const steps = pointer
    .split('/')
    .slice(1)
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  let at = object as Record<string, Value>
  for (const [index, step] of steps.entries()) {
    if (index === steps.length - 1) at[step] = value
    else at = (at[step] ??= /^\d+$/.test(steps[index + 1]!) ? [] : {}) as Record<string, Value>
  }
  return object
}

const inList = (object: Value) => ({
  apiVersion: 'v1',
  kind: 'List',
  items: [withValue('ConfigMap', '/metadata/name', 'other'), object],
})

function put(
  kind: string,
  pointer: string,
  value: Value,
  told = pointer,
  name = `${kind} ${pointer} = ${show(value)}`,
): Violation {
  return { name, text: JSON.stringify(withValue(kind, pointer, value)), pointer: `/0${told}` }
}

const show = (value: Value) => (JSON.stringify(value) ?? '').slice(0, 60)

/** [below the container, value, where it is told if not there] */
const containerFaults: [string, Value, string?][] = [
  ['/securityContext/privileged', true],
  ['/securityContext/allowPrivilegeEscalation', true],
  ['/securityContext/capabilities/add', ['SYS_ADMIN'], '/securityContext/capabilities/add/0'],
  ['/securityContext/capabilities/add', ['NET_RAW'], '/securityContext/capabilities/add/0'],
  ['/securityContext/runAsUser', 0],
  ['/securityContext/runAsNonRoot', false],
  ['/securityContext/procMount', 'Unmasked'],
  ['/securityContext/seccompProfile/type', 'Unconfined'],
  ['/securityContext/seLinuxOptions/type', 'spc_t', '/securityContext/seLinuxOptions'],
  ['/securityContext/windowsOptions/hostProcess', true, '/securityContext/windowsOptions'],
  ['/ports', [{ containerPort: 80, hostPort: 80 }], '/ports/0/hostPort'],
  ['/livenessProbe', { httpGet: { port: 80, host: '169.254.169.254' } }, '/livenessProbe/httpGet/host'],
  ['/lifecycle', { postStart: { httpGet: { port: 80, host: '10.0.0.1' } } }, '/lifecycle/postStart/httpGet/host'],
  ['/volumeDevices', [{ name: 'v', devicePath: '/dev/sda' }]],
  ['/volumeMounts', [{ name: 'v', mountPath: '/a', subPath: '../../etc' }], '/volumeMounts/0/subPath'],
  ['/volumeMounts', [{ name: 'v', mountPath: '/a', subPathExpr: '$(X)' }], '/volumeMounts/0/subPathExpr'],
  ['/volumeMounts', [{ name: 'v', mountPath: '/a', mountPropagation: 'Bidirectional' }], '/volumeMounts/0/mountPropagation'],
  ['/volumeMounts', [{ name: 'v', mountPath: '/proc/1' }], '/volumeMounts/0/mountPath'],
  ['/env', [{ name: 'N', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }], '/env/0/valueFrom/fieldRef/fieldPath'],
  ['/env', [{ name: 'N', value: 5 }], '/env/0/value'],
  ['/image', 'x'.repeat(4096)],
  ['/image', 'example/app:1 --privileged'],
  ['/resources/limits', { cpu: '1e9' }, '/resources/limits/cpu'],
  ['/resources/limits', { memory: '1m' }, '/resources/limits/memory'],
  ['/resources/limits', { cpu: '-1' }, '/resources/limits/cpu'],
  ['/resources/limits', { 'nvidia.com/gpu': 1 }, '/resources/limits/nvidia.com~1gpu'],
  ['/stdinn', true],
]

const podFaults: [string, Value, string?][] = [
  ['/hostNetwork', true],
  ['/hostPID', true],
  ['/hostIPC', true],
  ['/hostUsers', true],
  ['/serviceAccountName', 'porthole-agent'],
  ['/serviceAccount', 'default'],
  ['/automountServiceAccountToken', true],
  ['/nodeName', 'control-plane'],
  ['/nodeSelector', { role: 'master' }],
  ['/affinity', { nodeAffinity: {} }],
  ['/tolerations', [{ operator: 'Exists' }]],
  ['/priorityClassName', 'system-cluster-critical'],
  ['/runtimeClassName', 'runc'],
  ['/schedulerName', 'mine'],
  ['/hostAliases', [{ ip: '1.2.3.4', hostnames: ['a'] }]],
  ['/securityContext', { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] }, '/securityContext/sysctls'],
  ['/securityContext', { runAsUser: 0 }, '/securityContext/runAsUser'],
  ['/securityContext', { runAsNonRoot: false }, '/securityContext/runAsNonRoot'],
  ['/securityContext', { supplementalGroups: [0] }, '/securityContext/supplementalGroups/0'],
  ['/securityContext', { seccompProfile: { type: 'Localhost' } }, '/securityContext/seccompProfile/type'],
  ['/ephemeralContainers', [{ name: 'e', image: 'x', securityContext: { privileged: true } }]],
  ['/dnsConfig', { nameservers: ['10.0.0.1'] }],
  ['/volumes', [{ name: 'v', hostPath: { path: '/' } }], '/volumes/0/hostPath'],
  ['/volumes', [{ name: 'v', csi: { driver: 'x' } }], '/volumes/0/csi'],
  ['/volumes', [{ name: 'v', nfs: { server: 'a', path: '/' } }], '/volumes/0/nfs'],
  ['/volumes', [{ name: 'v', gitRepo: { repository: 'x' } }], '/volumes/0/gitRepo'],
  ['/volumes', [{ name: 'v', ephemeral: { volumeClaimTemplate: {} } }], '/volumes/0/ephemeral'],
  [
    '/volumes',
    [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }],
    '/volumes/0/projected/sources/0/serviceAccountToken',
  ],
  ['/initContainers', [{ name: 'c', image: 'x' }], '/containers/0/name'],
  ['/containers', [], '/containers'],
]

const objectFaults: Violation[] = [
  ...['kube-system', '', '../x', 'default', 'kube-public'].map(namespace => put('ConfigMap', '/metadata/namespace', namespace)),
  put('ConfigMap', '/metadata/generateName', 'x-'),
  put('ConfigMap', '/metadata/finalizers', ['x/y']),
  put('ConfigMap', '/metadata/ownerReferences', [{ kind: 'Node' }]),
  put('ConfigMap', '/metadata/labels/porthole.dev~1project', 'prj_other'),
  put('ConfigMap', '/metadata/labels/app.kubernetes.io~1managed-by', 'porthole-agent'),
  put('Pod', '/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1c', 'unconfined'),
  put('Pod', '/metadata/annotations/sidecar.istio.io~1inject', 'false'),
  put('ConfigMap', '/metadata/name', '../../kube-system/x'),
  put('ConfigMap', '/metadata/name', 'kube-root-ca.crt'),
  put('ConfigMap', '/data/a', 5),
  put('ConfigMap', '/spec', {}),
  put('Secret', '/type', 'kubernetes.io/service-account-token'),
  put('Secret', '/type', 'bootstrap.kubernetes.io/token'),
  put('Secret', '/data', { a: 'not base64!' }, '/data/a'),
  put('Service', '/spec/type', 'NodePort'),
  put('Service', '/spec/type', 'LoadBalancer'),
  put('Service', '/spec/type', 'ExternalName'),
  put('Service', '/spec/externalIPs', ['1.2.3.4']),
  put('Service', '/spec/externalName', 'metadata.google.internal'),
  put('Service', '/spec/ports', [{ port: 80, nodePort: 30000 }], '/spec/ports/0/nodePort'),
  put('Service', '/spec/loadBalancerIP', '1.2.3.4'),
  put('Service', '/spec/clusterIP', '10.0.0.1'),
  put('Service', '/spec/selector', {}),
  put('Service', '/spec/selector', { 'porthole.dev/session': 'ses_1' }, '/spec/selector/porthole.dev~1session'),
  put('PersistentVolumeClaim', '/spec/volumeName', 'host-root'),
  put('PersistentVolumeClaim', '/spec/volumeMode', 'Block'),
  put('PersistentVolumeClaim', '/spec/dataSource', { kind: 'VolumeSnapshot', name: 'x' }),
  put('Deployment', '/spec/replicas', 1_000_000),
  put('Deployment', '/spec/replicas', -1),
  put('Deployment', '/spec/template/spec/restartPolicy', 'Never'),
  put('Deployment', '/spec/paused', true),
  put(
    'Deployment',
    '/spec/template/metadata/labels',
    { 'porthole.dev/agent': 'x' },
    '/spec/template/metadata/labels/porthole.dev~1agent',
  ),
  put(
    'StatefulSet',
    '/spec/volumeClaimTemplates',
    [
      {
        metadata: { name: 'v' },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, volumeName: 'pv' },
      },
    ],
    '/spec/volumeClaimTemplates/0/spec/volumeName',
  ),
  put('Job', '/spec/parallelism', 100_000),
  put('Job', '/spec/manualSelector', true),
  put('CronJob', '/spec/schedule', 'whenever'),
]

const otherKinds: [string, string][] = [
  ['v1', 'Namespace'],
  ['v1', 'Node'],
  ['v1', 'PersistentVolume'],
  ['v1', 'ServiceAccount'],
  ['v1', 'Endpoints'],
  ['v1', 'ReplicationController'],
  ['v1', 'PodTemplate'],
  ['v1', 'ResourceQuota'],
  ['v1', 'LimitRange'],
  ['apps/v1', 'DaemonSet'],
  ['apps/v1', 'ReplicaSet'],
  ['networking.k8s.io/v1', 'Ingress'],
  ['networking.k8s.io/v1', 'NetworkPolicy'],
  ['rbac.authorization.k8s.io/v1', 'Role'],
  ['rbac.authorization.k8s.io/v1', 'RoleBinding'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRole'],
  ['rbac.authorization.k8s.io/v1', 'ClusterRoleBinding'],
  ['apiextensions.k8s.io/v1', 'CustomResourceDefinition'],
  ['admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration'],
  ['apiregistration.k8s.io/v1', 'APIService'],
  ['policy/v1', 'PodDisruptionBudget'],
  ['storage.k8s.io/v1', 'StorageClass'],
  ['certificates.k8s.io/v1', 'CertificateSigningRequest'],
  ['v1', 'ConfigMapList'],
]

const object = (apiVersion: string, kind: string) => ({ apiVersion, kind, metadata: { name: 'x' } })

const texts: Violation[] = [
  { name: 'no object at all', text: '# nothing\n---\n', pointer: '' },
  { name: 'a word', text: 'hello', pointer: '/0' },
  {
    name: 'a ClusterRole in a List in a List',
    text: JSON.stringify(
      inList({ apiVersion: 'v1', kind: 'List', items: [object('rbac.authorization.k8s.io/v1', 'ClusterRole')] }),
    ),
    pointer: '/0/items/1/items/0/kind',
  },
  { name: 'a kind of another group', text: JSON.stringify(object('example.com/v1', 'Deployment')), pointer: '/0/apiVersion' },
  {
    name: 'the same object twice',
    text: `${JSON.stringify(good.ConfigMap)}\n---\n${JSON.stringify(good.ConfigMap)}`,
    pointer: '/1/metadata/name',
  },
  {
    name: 'the second of two documents',
    text: `${JSON.stringify(good.ConfigMap)}\n---\n${JSON.stringify(object('v1', 'Node'))}`,
    pointer: '/1/kind',
  },
  { name: 'key twice', text: 'apiVersion: v1\nkind: ConfigMap\nkind: Node\nmetadata: {name: x}\n', pointer: '/0/kind' },
  { name: 'merge key', text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: x}\ndata: {<<: *m}\n', pointer: '/0/data/<<' },
  { name: 'tag', text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: !!binary aGk=}\n', pointer: '/0/data/a' },
  { name: 'custom tag', text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: !x {a: b}\n', pointer: '/0' },
  {
    name: 'no',
    text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostNetwork: no, containers: [{name: c, image: i}]}\n',
    pointer: '/0/spec/hostNetwork',
  },
  { name: 'octal', text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 0777}\n', pointer: '/0/data/a' },
  { name: 'base 60', text: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 1:30:00}\n', pointer: '/0/data/a' },
  { name: 'a directive', text: '%YAML 1.1\n---\napiVersion: v1\n', pointer: '' },
  { name: 'deep', text: `apiVersion: v1\ndata: ${'['.repeat(5000)}${']'.repeat(5000)}`, pointer: '' },
  { name: 'alias bomb', text: bomb(), pointer: '/0' },
  { name: 'not YAML', text: 'a: [', pointer: '/0' },
  {
    name: 'a hundred and one objects',
    text: Array.from({ length: 101 }, (_, at) => JSON.stringify(withValue('ConfigMap', '/metadata/name', `x${at}`))).join(
      '\n---\n',
    ),
    pointer: '',
  },
  { name: 'too large', text: `# ${'x'.repeat(300_000)}`, pointer: '' },
]

function bomb(): string {
  const levels = Array.from(
    { length: 8 },
    (_, level) => `a${level + 1}: &a${level + 1} [${Array(10).fill(`*a${level}`).join(', ')}]`,
  )
  return ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]', ...levels].join('\n')
}

const podKinds = Object.keys(podPath)
function inPod([below, value, told = below]: [string, Value, string?], at: number, place: string): Violation[] {
  const kind = podKinds[at % podKinds.length]!
  const base = podPath[kind]! + place
  if (place !== '/initContainers/0') return [put(kind, base + below, value, base + told)]
  const wrapped = at % 2 === 0
  const made = change(withValue(kind, base, { name: 'i', image: 'example/init:1' }), base + below, value)
  return [
    {
      name: `${kind} ${base}${below} = ${show(value)}${wrapped ? ' in a List' : ''}`,
      text: JSON.stringify(wrapped ? inList(made) : made),
      pointer: `/0${wrapped ? '/items/1' : ''}${base}${told}`,
    },
  ]
}

export const violations: Violation[] = [
  ...containerFaults.flatMap((fault, at) => [...inPod(fault, at, '/containers/0'), ...inPod(fault, at + 1, '/initContainers/0')]),
  ...podFaults.flatMap((fault, at) => inPod(fault, at, '')),
  ...objectFaults,
  ...otherKinds.map(([apiVersion, kind]) => ({
    name: `kind ${kind}`,
    text: JSON.stringify(object(apiVersion, kind)),
    pointer: '/0/kind',
  })),
  ...texts,
]
