/** The kinds a manifest may hold, and what each may say. A kind that is not here is refused, whatever it is. */
import { annotations, labels, metadata } from './metadata-rules.ts'
import { podSpec, podTemplate } from './pod-rules.ts'
import {
  all,
  either,
  fields,
  flag,
  integer,
  isObject,
  list,
  names,
  never,
  oneOf,
  only,
  portNumber,
  portOrName,
  quantity,
  type Rule,
  record,
  text,
} from './rules.ts'

export interface Kind {
  apiVersion: string
  kind: string
  /** In the API server's address. */
  plural: string
  /** What may be beside apiVersion, kind and metadata. */
  rest: Record<string, Rule>
  need: readonly string[]
  /** The pod spec inside, if there is one. */
  podSpec: readonly string[] | null
}

const ours = 'is what Porthole found it by'
const selector = fields(
  {
    matchLabels: labels,
    matchExpressions: list(
      fields(
        {
          key: text({ max: 63, match: /^[A-Za-z0-9_.-]+$/ }),
          operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'),
          values: list(text({ max: 63 })),
        },
        { need: ['key', 'operator'] },
      ),
      { max: 10 },
    ),
  },
  { need: ['matchLabels'] },
)
const replicas = integer(0, 100)
const surge: Rule = either(
  value => typeof value === 'number',
  integer(0, 100),
  text({ max: 4, match: /^(100|\d{1,2})%$/, say: 'must be a number or a percentage' }),
)
const storage = quantity(2 ** 20, 2 ** 46, 'between 1Mi and 64Ti')
const claimSpec = fields(
  {
    accessModes: list(oneOf('ReadWriteOnce', 'ReadWriteOncePod', 'ReadOnlyMany', 'ReadWriteMany'), { min: 1, max: 3 }),
    resources: fields(
      { requests: fields({ storage }, { need: ['storage'] }), limits: fields({ storage }) },
      { need: ['requests'] },
    ),
    storageClassName: names.subdomain,
    volumeMode: only('Filesystem', 'raw devices are not given away'),
    volumeName: never('the cluster chooses the volume'),
    selector: never('the cluster chooses the volume'),
    dataSource: never('volumes begin empty'),
    dataSourceRef: never('volumes begin empty'),
  },
  { need: ['accessModes', 'resources'] },
)

const outside = 'services are reached inside the cluster only'
const serviceSpec = fields(
  {
    type: only('ClusterIP', outside),
    clusterIP: only('None', 'the cluster chooses the address'),
    selector: all(labels, (value, path, findings) => {
      if (isObject(value) && Object.keys(value).length === 0) findings.tell(path, 'must select pods')
    }),
    ports: list(
      fields(
        {
          name: names.port,
          port: portNumber,
          targetPort: portOrName,
          protocol: oneOf('TCP', 'UDP', 'SCTP'),
          appProtocol: text({ max: 63 }),
          nodePort: never(outside),
        },
        { need: ['port'] },
      ),
      { min: 1, max: 50 },
    ),
    sessionAffinity: oneOf('None', 'ClientIP'),
    publishNotReadyAddresses: flag,
    externalIPs: never(outside),
    externalName: never(outside),
    externalTrafficPolicy: never(outside),
    healthCheckNodePort: never(outside),
    loadBalancerIP: never(outside),
    loadBalancerClass: never(outside),
    loadBalancerSourceRanges: never(outside),
    allocateLoadBalancerNodePorts: never(outside),
    clusterIPs: never('the cluster chooses the address'),
  },
  { need: ['selector', 'ports'] },
)

const jobFields: Record<string, Rule> = {
  template: podTemplate('Never', 'OnFailure'),
  backoffLimit: integer(0, 20),
  completions: integer(1, 100),
  parallelism: integer(0, 100),
  activeDeadlineSeconds: integer(1, 31_536_000),
  ttlSecondsAfterFinished: integer(0, 31_536_000),
  completionMode: oneOf('NonIndexed', 'Indexed'),
  suspend: only(false, 'a job that waits for ever cannot be waited for'),
  selector: never(ours),
  manualSelector: never(ours),
}
const jobSpec = fields(jobFields, { need: ['template'] })

const cronSpec = fields(
  {
    schedule: text({
      max: 100,
      match: /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|\S+( \S+){4})$/,
      say: 'is not a schedule such as */5 * * * *',
    }),
    timeZone: text({ max: 60, match: /^[A-Za-z0-9_+/-]+$/ }),
    concurrencyPolicy: oneOf('Allow', 'Forbid', 'Replace'),
    suspend: flag,
    startingDeadlineSeconds: integer(10, 31_536_000),
    successfulJobsHistoryLimit: integer(0, 20),
    failedJobsHistoryLimit: integer(0, 20),
    jobTemplate: fields({ metadata: fields({ labels, annotations }), spec: jobSpec }, { need: ['spec'] }),
  },
  { need: ['schedule', 'jobTemplate'] },
)

const bytes = text({ max: 400_000, match: /^[A-Za-z0-9+/\s]*={0,2}\s*$/, say: 'must be base64' })
const data = text({ max: 400_000 })
const secretTypes = [
  'Opaque',
  'kubernetes.io/dockerconfigjson',
  'kubernetes.io/basic-auth',
  'kubernetes.io/ssh-auth',
  'kubernetes.io/tls',
]

const table: Kind[] = [
  {
    apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', need: [], podSpec: null,
    rest: { data: record(data, { key: names.dataKey }), binaryData: record(bytes, { key: names.dataKey }), immutable: flag },
  },
  {
    apiVersion: 'v1', kind: 'Secret', plural: 'secrets', need: [], podSpec: null,
    rest: { type: oneOf(...secretTypes), data: record(bytes, { key: names.dataKey }), stringData: record(data, { key: names.dataKey }), immutable: flag },
  },
  { apiVersion: 'v1', kind: 'Service', plural: 'services', need: ['spec'], podSpec: null, rest: { spec: serviceSpec } },
  { apiVersion: 'v1', kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims', need: ['spec'], podSpec: null, rest: { spec: claimSpec } },
  { apiVersion: 'v1', kind: 'Pod', plural: 'pods', need: ['spec'], podSpec: ['spec'], rest: { spec: podSpec('Always', 'OnFailure', 'Never') } },
  {
    apiVersion: 'apps/v1', kind: 'Deployment', plural: 'deployments', need: ['spec'], podSpec: ['spec', 'template', 'spec'],
    rest: {
      spec: fields(
        {
          replicas, selector,
          template: podTemplate('Always'),
          strategy: fields({ type: oneOf('RollingUpdate', 'Recreate'), rollingUpdate: fields({ maxSurge: surge, maxUnavailable: surge }) }),
          minReadySeconds: integer(0, 3600),
          progressDeadlineSeconds: integer(1, 86_400),
          revisionHistoryLimit: integer(0, 50),
          paused: only(false, 'a rollout that is paused cannot be waited for'),
        },
        { need: ['selector', 'template'] },
      ),
    },
  },
  {
    apiVersion: 'apps/v1', kind: 'StatefulSet', plural: 'statefulsets', need: ['spec'], podSpec: ['spec', 'template', 'spec'],
    rest: {
      spec: fields(
        {
          replicas, selector, serviceName: names.label,
          template: podTemplate('Always'),
          podManagementPolicy: oneOf('OrderedReady', 'Parallel'),
          updateStrategy: fields({ type: only('RollingUpdate', 'what is not rolled out cannot be waited for'), rollingUpdate: fields({ partition: integer(0, 0) }) }),
          volumeClaimTemplates: list(fields({ metadata: fields({ name: names.label, labels, annotations }, { need: ['name'] }), spec: claimSpec }, { need: ['metadata', 'spec'] }), { max: 10 }),
          persistentVolumeClaimRetentionPolicy: fields({ whenDeleted: oneOf('Retain', 'Delete'), whenScaled: oneOf('Retain', 'Delete') }),
          minReadySeconds: integer(0, 3600),
          revisionHistoryLimit: integer(0, 50),
        },
        { need: ['selector', 'serviceName', 'template'] },
      ),
    },
  },
  { apiVersion: 'batch/v1', kind: 'Job', plural: 'jobs', need: ['spec'], podSpec: ['spec', 'template', 'spec'], rest: { spec: jobSpec } },
  ...['batch/v1', 'batch/v1beta1'].map(apiVersion => ({
    apiVersion, kind: 'CronJob', plural: 'cronjobs', need: ['spec'], podSpec: ['spec', 'jobTemplate', 'spec', 'template', 'spec'], rest: { spec: cronSpec },
  })),
] // biome-ignore format: one row a kind

export const kinds: readonly Kind[] = table

export function findKind(apiVersion: unknown, kind: unknown): Kind | undefined {
  return kinds.find(known => known.apiVersion === apiVersion && known.kind === kind)
}

/** Rule for a whole object of this kind. */
export function objectRule({ apiVersion, kind, rest, need }: Kind, namespace: string | null): Rule {
  return fields(
    {
      apiVersion: only(apiVersion, 'there is no other'),
      kind: only(kind, 'there is no other'),
      metadata: metadata(namespace),
      status: either(
        value => isObject(value) && Object.keys(value).length === 0,
        () => {},
        never('the state is the cluster’s'),
      ),
      ...rest,
    },
    { need: ['metadata', ...need] },
  )
}
