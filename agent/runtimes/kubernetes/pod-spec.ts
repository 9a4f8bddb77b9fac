/** A session as a pod. Pure: the same wish and settings give the same pod. Everything here holds under the *restricted* Pod Security Standard. */
import type { SessionSpec } from '#protocol/session-spec.ts'
import { claimFor } from './claims.ts'
import { hostSettings } from './host-settings.ts'
import { annotation, sessionLabels, specHash } from './labels.ts'
import { containerName, podPaths, podPorts } from './pod-names.ts'
import { bytesQuantity, cpuQuantity } from './quantity.ts'
import type { KubernetesSettings } from './settings.ts'
import type { Container, Pod, PodSpec, Volume } from './wire.ts'

export interface SessionPodInput {
  name: string
  session: string
  generation: number
  spec: SessionSpec
}

/** A sentence for people: why no pod can be made of this. */
export class CannotRun extends Error {
  override readonly name = 'CannotRun'
}

export function sessionPod(input: SessionPodInput, settings: KubernetesSettings): Pod {
  const { name, session, generation, spec } = input
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: settings.namespace,
      labels: sessionLabels(settings.agentName, session, generation, spec),
      annotations: {
        [annotation.specHash]: specHash(spec),
        [annotation.headless]: String(spec.headless),
        [annotation.template]: spec.template,
        [annotation.user]: spec.user,
        ...(spec.name !== null && { [annotation.name]: spec.name }),
        [annotation.hostSpec]: JSON.stringify(hostSettings(spec, settings)),
      },
    },
    spec: {
      ...podRules(settings),
      activeDeadlineSeconds: settings.lastWallSeconds,
      // The host leaves cleanly on SIGTERM; a delete shortens this.
      terminationGracePeriodSeconds: 10,
      hostname: name.slice(0, 63),
      ...(settings.prepareVolumes && claimFor(session, spec, settings) && { initContainers: [prepareContainer(spec, settings)] }),
      containers: containersOf(spec, settings),
      volumes: volumesOf(session, spec, settings),
    },
  }
}

/** What holds for every pod we make, the self-test's too. */
export function podRules(settings: KubernetesSettings): Omit<PodSpec, 'containers'> {
  const { seccompProfile, runAsUser } = settings
  return {
    restartPolicy: 'Never',
    serviceAccountName: settings.serviceAccount,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: {
      runAsNonRoot: true,
      runAsUser,
      runAsGroup: runAsUser,
      fsGroup: runAsUser,
      // Without this a large volume is walked through at each start.
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: seccompProfile ? { type: 'Localhost', localhostProfile: seccompProfile } : { type: 'RuntimeDefault' },
    },
    ...(settings.runtimeClass !== null && { runtimeClassName: settings.runtimeClass }),
    ...(settings.imagePullSecrets.length > 0 && {
      imagePullSecrets: settings.imagePullSecrets.map(secret => ({ name: secret })),
    }),
    ...(Object.keys(settings.nodeSelector).length > 0 && { nodeSelector: settings.nodeSelector }),
    ...(settings.tolerations.length > 0 && { tolerations: settings.tolerations as PodSpec['tolerations'] }),
  }
}

export const containerRules = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
}

function containersOf(spec: SessionSpec, settings: KubernetesSettings): Container[] {
  if (spec.kind !== 'app') return [mainContainer(spec, imageOf(spec, settings), settings)]
  if (spec.headless) throw new CannotRun('a session of kind app needs a display: it cannot be headless')
  if (!spec.image) throw new CannotRun('a session of kind app needs an image')
  // The kubelet starts containers in this order and holds the second until the first one's postStart is done.
  return [displayContainer(spec, imageOf(spec, settings), settings), appContainer(spec, spec.image, settings)]
}

/** The image with the host program: the session's own, or the cluster's for its kind. */
export function imageOf(spec: SessionSpec, settings: KubernetesSettings): string {
  const { browser, desktop, display } = settings.images
  const image = { browser, desktop, app: display }[spec.kind]
  const own = spec.kind === 'app' ? undefined : spec.image
  const chosen = own ?? image
  if (!chosen) throw new CannotRun(`this cluster has no image for sessions of kind ${spec.kind}`)
  return chosen
}

function mainContainer(spec: SessionSpec, image: string, settings: KubernetesSettings): Container {
  return {
    name: containerName.main,
    image,
    imagePullPolicy: settings.imagePullPolicy,
    env: [{ name: 'PORTHOLE_SPEC', value: podPaths.hostSpec }],
    ports: [
      { name: 'host', containerPort: podPorts.host },
      ...(spec.headless ? [] : [{ name: 'rfb', containerPort: podPorts.rfb }]),
      ...spec.ports
        .filter(({ port }) => !builtIn(port))
        .map(({ name, port }) => ({ name: `p-${name}`.slice(0, 15), containerPort: port })),
    ],
    resources: resourcesOf(spec, settings),
    securityContext: containerRules,
    readinessProbe: { tcpSocket: { port: podPorts.host }, periodSeconds: 10, failureThreshold: 3 },
    // The host writes its last status there; a program that has none leaves its last lines.
    terminationMessagePath: podPaths.lastWords,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'settings', mountPath: podPaths.settings, readOnly: true },
      { name: 'home', mountPath: podPaths.home },
      { name: 'tmp', mountPath: '/tmp' },
      { name: 'scratch', mountPath: podPaths.scratch },
      { name: 'shm', mountPath: '/dev/shm' },
    ],
  }
}

function displayContainer(spec: SessionSpec, image: string, settings: KubernetesSettings): Container {
  const main = mainContainer(spec, image, settings)
  return {
    ...main,
    resources: {
      requests: { cpu: cpuQuantity(100), memory: bytesQuantity(128 * 2 ** 20) },
      limits: { cpu: cpuQuantity(1000), memory: bytesQuantity(512 * 2 ** 20) },
    },
    lifecycle: { postStart: { exec: { command: ['/bin/sh', '-c', waitForDisplay] } } },
    volumeMounts: [...main.volumeMounts!, { name: 'x11', mountPath: podPaths.x11 }],
  }
}

const waitForDisplay = `n=0; until [ -S ${podPaths.x11}/X0 ]; do n=$((n+1)); [ $n -gt 600 ] && exit 1; sleep 0.1; done`

function appContainer(spec: SessionSpec, image: string, settings: KubernetesSettings): Container {
  const [program, ...args] = spec.command ?? []
  const ours = { DISPLAY: ':0', XAUTHORITY: `${podPaths.scratch}/Xauthority`, HOME: podPaths.home }
  const theirs = Object.entries(spec.env).filter(([name]) => !(name in ours))
  return {
    name: containerName.app,
    image,
    imagePullPolicy: settings.imagePullPolicy,
    ...(program && { command: [program], args }),
    env: [...theirs, ...Object.entries(ours)].map(([name, value]) => ({ name, value })),
    resources: resourcesOf(spec, settings),
    securityContext: containerRules,
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: [
      { name: 'home', mountPath: podPaths.home },
      { name: 'app-tmp', mountPath: '/tmp' },
      { name: 'x11', mountPath: podPaths.x11 },
      { name: 'scratch', mountPath: podPaths.scratch, readOnly: true },
      { name: 'shm', mountPath: '/dev/shm' },
    ],
  }
}

/** The one container that is root: it only hands the volume over. */
function prepareContainer(spec: SessionSpec, settings: KubernetesSettings): Container {
  const owner = `${settings.runAsUser}:${settings.runAsUser}`
  return {
    name: containerName.prepare,
    image: imageOf(spec, settings),
    imagePullPolicy: settings.imagePullPolicy,
    command: ['/bin/sh', '-c', `chown ${owner} ${podPaths.home} && chmod 0700 ${podPaths.home}`],
    resources: { limits: { cpu: cpuQuantity(100), memory: bytesQuantity(32 * 2 ** 20) } },
    securityContext: {
      runAsNonRoot: false,
      runAsUser: 0,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['CHOWN', 'FOWNER', 'DAC_OVERRIDE'] },
    },
    volumeMounts: [{ name: 'home', mountPath: podPaths.home }],
  }
}

function resourcesOf(spec: SessionSpec, settings: KubernetesSettings): Container['resources'] {
  const cpu = spec.limits.cpu_millis ?? settings.defaultLimits.cpu_millis
  const memory = spec.limits.memory_bytes ?? settings.defaultLimits.memory_bytes
  return {
    limits: { cpu: cpuQuantity(cpu), memory: bytesQuantity(memory) },
    requests: {
      cpu: cpuQuantity(Math.min(cpu, spec.requests.cpu_millis ?? settings.defaultRequests.cpu_millis)),
      memory: bytesQuantity(Math.min(memory, spec.requests.memory_bytes ?? settings.defaultRequests.memory_bytes)),
    },
  }
}

function volumesOf(session: string, spec: SessionSpec, settings: KubernetesSettings): Volume[] {
  const disk = { sizeLimit: bytesQuantity(settings.scratchBytes) }
  const claim = claimFor(session, spec, settings)
  const home: Volume = claim
    ? { name: 'home', persistentVolumeClaim: { claimName: claim.metadata!.name! } }
    : { name: 'home', emptyDir: { sizeLimit: bytesQuantity(spec.limits.storage_bytes ?? settings.scratchBytes) } }
  const file = { path: 'host.json', fieldRef: { fieldPath: `metadata.annotations['${annotation.hostSpec}']` } }
  return [
    { name: 'settings', downwardAPI: { items: [file] } },
    home,
    { name: 'tmp', emptyDir: disk },
    { name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: bytesQuantity(64 * 2 ** 20) } },
    // Counts against the container's memory limit.
    { name: 'shm', emptyDir: { medium: 'Memory', sizeLimit: bytesQuantity(settings.sharedMemoryBytes) } },
    ...(spec.kind === 'app'
      ? [
          { name: 'app-tmp', emptyDir: disk },
          { name: 'x11', emptyDir: {} },
        ]
      : []),
  ]
}

const builtIn = (port: number) => Object.values<number>(podPorts).includes(port)
