/**
 * What a pod may say: the *restricted* Pod Security Standard, and what that one leaves open (service accounts, nodes, priorities, tokens, other
 * runtimes). Things a pod may leave out are filled in by harden.ts.
 */

import type { Path } from './fault.ts'
import { annotations, labels } from './metadata-rules.ts'
import {
  type Findings,
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
  text,
} from './rules.ts'

const restricted = 'the restricted Pod Security Standard allows nothing else'
const gib = 2 ** 30
const cpu = quantity(0.001, 256, 'between 1m and 256 cores')
const memory = quantity(2 ** 20, 4096 * gib, 'between 1Mi and 4Ti')
const storage = quantity(2 ** 10, 65_536 * gib, 'between 1Ki and 64Ti')
const amounts = fields({ cpu, memory, 'ephemeral-storage': storage })

export const imageName = text({
  max: 512,
  match: /^[a-z0-9]+([._:/-]+[a-zA-Z0-9_]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$/,
  say: 'is not the name of an image',
})

const seccomp = fields({ type: only('RuntimeDefault', restricted) }, { need: ['type'] })
const runAsUser = integer(1, 2_147_483_647)
const identity = {
  runAsNonRoot: only(true, restricted),
  runAsUser,
  runAsGroup: integer(1, 2_147_483_647),
  seccompProfile: seccomp,
  appArmorProfile: fields({ type: only('RuntimeDefault', restricted) }),
  seLinuxOptions: never('SELinux options are the cluster’s'),
  windowsOptions: never('Windows options are not accepted'),
}

const podSecurity = fields({
  ...identity,
  fsGroup: integer(1, 2_147_483_647),
  fsGroupChangePolicy: oneOf('OnRootMismatch', 'Always'),
  supplementalGroups: list(integer(1, 2_147_483_647), { max: 20 }),
  sysctls: never('kernel settings are the cluster’s'),
})

const containerSecurity = fields({
  ...identity,
  privileged: only(false, restricted),
  allowPrivilegeEscalation: only(false, restricted),
  readOnlyRootFilesystem: flag,
  procMount: only('Default', restricted),
  capabilities: fields({
    drop: list(text({ max: 40 }), { max: 50 }),
    add: list(only('NET_BIND_SERVICE', restricted), { max: 1 }),
  }),
})

const ownFields = text({
  max: 300,
  match: /^(metadata\.(name|namespace|uid|labels(\['[^']+'\])?|annotations(\['[^']+'\])?)|status\.podIPs?)$/,
  say: 'may only be the pod’s own name, namespace, uid, labels, annotations or address',
})
const fieldRef = fields({ fieldPath: ownFields, apiVersion: only('v1', 'there is no other') }, { need: ['fieldPath'] })
const resourceFieldRef = fields(
  { containerName: names.label, resource: text({ max: 60 }), divisor: text({ max: 20 }) },
  { need: ['resource'] },
)
const keyRef = fields(
  { name: names.subdomain, key: text({ max: 253, match: names.dataKey }), optional: flag },
  { need: ['name', 'key'] },
)
const envName = text({ max: 200, match: /^[A-Za-z_.-][A-Za-z0-9_.-]*$/, say: 'is not the name of a variable' })

const env = list(
  fields(
    {
      name: envName,
      value: text({ max: 65_536 }),
      valueFrom: fields({ configMapKeyRef: keyRef, secretKeyRef: keyRef, fieldRef, resourceFieldRef }),
    },
    { need: ['name'] },
  ),
)
const envFrom = list(
  fields({
    prefix: envName,
    configMapRef: fields({ name: names.subdomain, optional: flag }, { need: ['name'] }),
    secretRef: fields({ name: names.subdomain, optional: flag }, { need: ['name'] }),
  }),
)

const itsOwnPod = never('is always the pod itself: no other host may be asked')
const command = list(text({ max: 65_536 }), { max: 300 })
const httpGet = fields(
  {
    path: text({ max: 1024 }),
    port: portOrName,
    scheme: oneOf('HTTP', 'HTTPS'),
    httpHeaders: list(fields({ name: text({ max: 200 }), value: text({ max: 1000 }) }), { max: 20 }),
    host: itsOwnPod,
  },
  { need: ['port'] },
)
const actions = {
  exec: fields({ command }, { need: ['command'] }),
  httpGet,
  tcpSocket: fields({ port: portOrName, host: itsOwnPod }, { need: ['port'] }),
}
const probe = fields({
  ...actions,
  grpc: fields({ port: portNumber, service: text({ max: 253 }) }, { need: ['port'] }),
  initialDelaySeconds: integer(0, 3600),
  periodSeconds: integer(1, 3600),
  timeoutSeconds: integer(1, 600),
  successThreshold: integer(1, 100),
  failureThreshold: integer(1, 1000),
  terminationGracePeriodSeconds: integer(1, 3600),
})
const hook = fields({ ...actions, sleep: fields({ seconds: integer(0, 600) }) })

const inside = text({ max: 1024, match: /^(?!\/)(?!.*(^|\/)\.\.(\/|$)).+$/, say: 'must lead inside the volume' })
const mount = fields(
  {
    name: names.label,
    mountPath: text({
      max: 1024,
      match: /^\/(?!.*(^|\/)\.\.(\/|$))(?!(proc|sys|dev)(\/|$))[^:]*$/,
      say: 'must be an absolute path, and not in /proc, /sys or /dev',
    }),
    readOnly: flag,
    subPath: inside,
    mountPropagation: only('None', restricted),
    subPathExpr: never('paths made of variables are not accepted'),
  },
  { need: ['name', 'mountPath'] },
)

const containerFields: Record<string, Rule> = {
  name: names.label,
  image: imageName,
  imagePullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  command,
  args: command,
  workingDir: text({ max: 1024 }),
  env,
  envFrom,
  ports: list(
    fields(
      {
        name: names.port,
        containerPort: portNumber,
        protocol: oneOf('TCP', 'UDP', 'SCTP'),
        hostPort: never('ports of the node are not given away'),
        hostIP: never('ports of the node are not given away'),
      },
      { need: ['containerPort'] },
    ),
  ),
  resources: fields({ limits: amounts, requests: amounts }),
  volumeMounts: list(mount),
  volumeDevices: never('raw devices are not given away'),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: fields({ postStart: hook, preStop: hook }),
  securityContext: containerSecurity,
  terminationMessagePolicy: oneOf('File', 'FallbackToLogsOnError'),
  terminationMessagePath: text({ max: 1024, match: /^\/(?!.*\.\.)/ }),
  stdin: flag,
  stdinOnce: flag,
  tty: flag,
}
const container = fields(containerFields, { need: ['name', 'image'] })
const initContainer = fields(
  { ...containerFields, restartPolicy: only('Always', 'it makes an init container a sidecar') },
  { need: ['name', 'image'] },
)

const items = list(
  fields({ key: text({ max: 253, match: names.dataKey }), path: inside, mode: integer(0, 0o777) }, { need: ['key', 'path'] }),
)
const mode = { defaultMode: integer(0, 0o777), optional: flag, items }
const downward = {
  items: list(fields({ path: inside, fieldRef, resourceFieldRef, mode: integer(0, 0o777) }, { need: ['path'] })),
}
const nodes = 'files and devices of the node are not given away'
const foreign = 'storage is asked for with a PersistentVolumeClaim'
const volume = fields(
  {
    name: names.label,
    emptyDir: fields({ medium: oneOf('', 'Memory'), sizeLimit: storage }),
    configMap: fields({ name: names.subdomain, ...mode }, { need: ['name'] }),
    secret: fields({ secretName: names.subdomain, ...mode }, { need: ['secretName'] }),
    persistentVolumeClaim: fields({ claimName: names.subdomain, readOnly: flag }, { need: ['claimName'] }),
    downwardAPI: fields({ ...downward, defaultMode: integer(0, 0o777) }),
    projected: fields({
      defaultMode: integer(0, 0o777),
      sources: list(
        fields({
          configMap: fields({ name: names.subdomain, optional: flag, items }, { need: ['name'] }),
          secret: fields({ name: names.subdomain, optional: flag, items }, { need: ['name'] }),
          downwardAPI: fields(downward),
          serviceAccountToken: never('pods get no token of the cluster'),
        }),
      ),
    }),
    hostPath: never(nodes),
    local: never(nodes),
    csi: never(foreign),
    nfs: never(foreign),
    iscsi: never(foreign),
    ephemeral: never(foreign),
    flexVolume: never(foreign),
    image: never('images as volumes are not accepted'),
  },
  { need: ['name'] },
)

const theNode = 'the cluster chooses the node'
const theHost = 'belongs to the node, not to the pod'
const noAccount = 'pods run without rights on the cluster'
const podFields: Record<string, Rule> = {
  containers: list(container, { min: 1, max: 20 }),
  initContainers: list(initContainer, { max: 20 }),
  volumes: list(volume, { max: 50 }),
  securityContext: podSecurity,
  terminationGracePeriodSeconds: integer(0, 3600),
  activeDeadlineSeconds: integer(1, 31_536_000),
  automountServiceAccountToken: only(false, noAccount),
  enableServiceLinks: flag,
  shareProcessNamespace: flag,
  hostname: names.label,
  subdomain: names.label,
  imagePullSecrets: list(fields({ name: names.subdomain }, { need: ['name'] }), { max: 10 }),
  dnsPolicy: oneOf('ClusterFirst', 'Default'),
  ephemeralContainers: never('containers cannot be put into a running pod'),
  serviceAccountName: never(noAccount),
  serviceAccount: never(noAccount),
  hostNetwork: only(false, theHost),
  hostPID: only(false, theHost),
  hostIPC: only(false, theHost),
  hostUsers: only(false, theHost),
  nodeName: never(theNode),
  nodeSelector: never(theNode),
  affinity: never(theNode),
  tolerations: never(theNode),
  schedulerName: never(theNode),
  topologySpreadConstraints: never(theNode),
  priorityClassName: never('priorities are the cluster’s'),
  priority: never('priorities are the cluster’s'),
  preemptionPolicy: never('priorities are the cluster’s'),
  runtimeClassName: never('the runtime is the cluster’s'),
  overhead: never('the runtime is the cluster’s'),
  resourceClaims: never('devices are the cluster’s'),
  hostAliases: never('names are the cluster’s'),
  dnsConfig: never('names are the cluster’s'),
}

export function podSpec(...restarts: string[]): Rule {
  const rule = fields({ ...podFields, restartPolicy: oneOf(...restarts) }, { need: ['containers'] })
  return (value, path, findings) => {
    rule(value, path, findings)
    if (isObject(value)) namesOnce(value, path, findings)
  }
}

function namesOnce(spec: Record<string, unknown>, path: Path, findings: Findings): void {
  const seen = new Set<unknown>()
  for (const field of ['initContainers', 'containers'] as const) {
    const containers = spec[field]
    if (!Array.isArray(containers)) continue
    containers.forEach((item, at) => {
      const name = isObject(item) ? item.name : undefined
      if (typeof name === 'string' && seen.has(name))
        findings.tell([...path, field, at, 'name'], 'is the name of another container')
      seen.add(name)
    })
  }
}

/** A pod that a Deployment, Job, … makes. */
export function podTemplate(...restarts: string[]): Rule {
  return fields(
    {
      metadata: fields({ name: names.subdomain, labels, annotations, creationTimestamp: never('is the cluster’s') }),
      spec: podSpec(...restarts),
    },
    { need: ['spec'] },
  )
}
