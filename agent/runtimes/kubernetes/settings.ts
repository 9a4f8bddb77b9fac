/** What the operator decides about sessions as pods. Read once from the environment (README.md explains each); all faults are told at once. */
import { z } from 'zod'
import { readEnvironment } from '#agent/config.ts'
import { knownGitSchemes } from '#protocol/git-source.ts'
import type { ProjectPlace } from './tasks/project-places.ts'

const list = z.string().transform(text =>
  text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== ''),
)
const flag = z.enum(['true', 'false', '1', '0']).transform(word => word === 'true' || word === '1')
const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be a DNS label: a-z, 0-9 and -')
const cidrs = list.refine(
  items => items.every(item => /^[0-9a-fA-F:.]+\/\d{1,3}$/.test(item)),
  'must be addresses like 10.0.0.0/8',
)
const json = <T extends z.ZodType>(schema: T) =>
  z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown
      } catch {
        context.addIssue({ code: 'custom', message: 'is not JSON' })
        return z.NEVER
      }
    })
    .pipe(schema)
const mebibytes = z.coerce.number().int().positive()

export const KubernetesEnvironment = z.object({
  KUBECONFIG: z.string().optional(),
  PORTHOLE_AGENT_NAME: name.default('porthole'),
  PORTHOLE_NAMESPACE: name.default('porthole-sessions'),
  PORTHOLE_SYSTEM_NAMESPACE: name.default('porthole-system'),
  PORTHOLE_SERVICE_ACCOUNT: name.default('porthole-workload'),
  PORTHOLE_IMAGE_BROWSER: z.string().optional(),
  PORTHOLE_IMAGE_DESKTOP: z.string().optional(),
  PORTHOLE_IMAGE_DISPLAY: z.string().optional(),
  PORTHOLE_IMAGE_BUILDER: z.string().optional(),
  PORTHOLE_BUILD_SECCOMP_PROFILE: z.string().optional(),
  PORTHOLE_GIT_SCHEMES: list.pipe(z.array(z.enum(knownGitSchemes))).default(['https', 'ssh']),
  PORTHOLE_IMAGE_PULL_POLICY: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
  PORTHOLE_IMAGE_PULL_SECRETS: list.default([]),
  PORTHOLE_BROWSERS: list.default(['chromium']),
  PORTHOLE_SECCOMP_PROFILE: z.string().optional(),
  PORTHOLE_RUNTIME_CLASS: name.optional(),
  PORTHOLE_RUN_AS_USER: z.coerce.number().int().min(1).max(2_000_000_000).default(1000),
  PORTHOLE_STORAGE_CLASS: z.string().optional(),
  PORTHOLE_KEEP_HOMES: list.pipe(z.array(z.enum(['browser', 'desktop', 'app']))).default(['desktop']),
  PORTHOLE_HOME_MIB: mebibytes.default(1024),
  PORTHOLE_PREPARE_VOLUMES: flag.default(false),
  PORTHOLE_DEFAULT_CPU_MILLIS: z.coerce.number().int().positive().default(2000),
  PORTHOLE_DEFAULT_MEMORY_MIB: mebibytes.default(2048),
  PORTHOLE_REQUEST_CPU_MILLIS: z.coerce.number().int().positive().default(250),
  PORTHOLE_REQUEST_MEMORY_MIB: mebibytes.default(512),
  PORTHOLE_SCRATCH_MIB: mebibytes.default(1024),
  PORTHOLE_SHARED_MEMORY_MIB: mebibytes.default(256),
  PORTHOLE_LAST_WALL_SECONDS: z.coerce.number().int().min(60).max(31_536_000).default(604_800),
  PORTHOLE_NODE_SELECTOR: json(z.record(z.string(), z.string())).optional(),
  PORTHOLE_TOLERATIONS: json(z.array(z.record(z.string(), z.unknown()))).optional(),
  PORTHOLE_AGENT_POD_LABELS: json(z.record(z.string(), z.string())).default({ 'app.kubernetes.io/name': 'porthole-agent' }),
  PORTHOLE_DNS_PEER: json(
    z.object({ namespace: z.record(z.string(), z.string()), pod: z.record(z.string(), z.string()) }),
  ).default({
    namespace: {},
    pod: { 'k8s-app': 'kube-dns' },
  }),
  PORTHOLE_DENIED_CIDRS: cidrs.default([]),
  PORTHOLE_ALLOWED_CIDRS: cidrs.default([]),
  PORTHOLE_SELF_TEST: z.enum(['off', 'note', 'require']).default('note'),
  PORTHOLE_PROJECTS: json(
    z.array(
      z.object({
        project: z.string().regex(/^(\*|[a-z0-9_]{1,64})$/),
        namespace: name,
        service_account: name.default('porthole-tenant'),
      }),
    ),
  ).default([]),
  PORTHOLE_DIAL: z.enum(['auto', 'pod-ip', 'port-forward']).default('auto'),
})

export type Kind = 'browser' | 'desktop' | 'app'

export interface KubernetesSettings {
  /** Absent: in-cluster. */
  kubeconfig: string | undefined
  agentName: string
  /** Where sessions live; nothing of the agent's own is there. */
  namespace: string
  /** Where the agent lives: its Secret, its Lease. */
  systemNamespace: string
  serviceAccount: string
  images: { browser?: string; desktop?: string; display?: string; builder?: string }
  imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  imagePullSecrets: string[]
  browsers: string[]
  /** Localhost seccomp profile that lets Chromium make its own sandbox; null: RuntimeDefault, and Chromium without one. */
  seccompProfile: string | null
  /** As `seccompProfile`, for builds, which make namespaces and mounts of their own; null: RuntimeDefault, which denies them. */
  buildSeccompProfile: string | null
  /** What sources of builds may be fetched by. */
  gitSchemes: string[]
  runtimeClass: string | null
  runAsUser: number
  storageClass: string | null
  /** Kinds whose home outlives the pod without a volume of their own. */
  keepHomes: Kind[]
  homeBytes: number
  /** A first container that hands a volume to our user, for storage that ignores `fsGroup`. Not allowed under *restricted*. */
  prepareVolumes: boolean
  defaultLimits: { cpu_millis: number; memory_bytes: number }
  defaultRequests: { cpu_millis: number; memory_bytes: number }
  scratchBytes: number
  sharedMemoryBytes: number
  /** `activeDeadlineSeconds`: the kubelet ends a pod after this even if the agent never returns. */
  lastWallSeconds: number
  nodeSelector: Record<string, string>
  tolerations: Record<string, unknown>[]
  network: {
    agentPodLabels: Record<string, string>
    dns: { namespace: Record<string, string>; pod: Record<string, string> }
    /** Besides the private ranges: pod, service and node networks with public addresses. */
    denied: string[]
    /** Ranges inside the denied ones that a session may ask for in `egress.allow`. */
    allowed: string[]
  }
  selfTest: 'off' | 'note' | 'require'
  /** Where projects may apply manifests and deploys; none: nowhere. */
  places: ProjectPlace[]
  dial: 'auto' | 'pod-ip' | 'port-forward'
}

const mib = 1024 * 1024

export function kubernetesSettings(environment: Record<string, string | undefined>): KubernetesSettings {
  const env = readEnvironment(KubernetesEnvironment, environment)
  const {
    PORTHOLE_IMAGE_BROWSER: browser,
    PORTHOLE_IMAGE_DESKTOP: desktop,
    PORTHOLE_IMAGE_DISPLAY: display,
    PORTHOLE_IMAGE_BUILDER: builder,
  } = env
  return {
    kubeconfig: env.KUBECONFIG,
    agentName: env.PORTHOLE_AGENT_NAME,
    namespace: env.PORTHOLE_NAMESPACE,
    systemNamespace: env.PORTHOLE_SYSTEM_NAMESPACE,
    serviceAccount: env.PORTHOLE_SERVICE_ACCOUNT,
    images: {
      ...(browser && { browser }),
      ...(desktop && { desktop }),
      ...(display && { display }),
      ...(builder && { builder }),
    },
    imagePullPolicy: env.PORTHOLE_IMAGE_PULL_POLICY,
    imagePullSecrets: env.PORTHOLE_IMAGE_PULL_SECRETS,
    browsers: env.PORTHOLE_BROWSERS,
    seccompProfile: env.PORTHOLE_SECCOMP_PROFILE ?? null,
    buildSeccompProfile: env.PORTHOLE_BUILD_SECCOMP_PROFILE ?? null,
    gitSchemes: env.PORTHOLE_GIT_SCHEMES,
    runtimeClass: env.PORTHOLE_RUNTIME_CLASS ?? null,
    runAsUser: env.PORTHOLE_RUN_AS_USER,
    storageClass: env.PORTHOLE_STORAGE_CLASS ?? null,
    keepHomes: env.PORTHOLE_KEEP_HOMES,
    homeBytes: env.PORTHOLE_HOME_MIB * mib,
    prepareVolumes: env.PORTHOLE_PREPARE_VOLUMES,
    defaultLimits: { cpu_millis: env.PORTHOLE_DEFAULT_CPU_MILLIS, memory_bytes: env.PORTHOLE_DEFAULT_MEMORY_MIB * mib },
    defaultRequests: { cpu_millis: env.PORTHOLE_REQUEST_CPU_MILLIS, memory_bytes: env.PORTHOLE_REQUEST_MEMORY_MIB * mib },
    scratchBytes: env.PORTHOLE_SCRATCH_MIB * mib,
    sharedMemoryBytes: env.PORTHOLE_SHARED_MEMORY_MIB * mib,
    lastWallSeconds: env.PORTHOLE_LAST_WALL_SECONDS,
    nodeSelector: env.PORTHOLE_NODE_SELECTOR ?? {},
    tolerations: env.PORTHOLE_TOLERATIONS ?? [],
    network: {
      agentPodLabels: env.PORTHOLE_AGENT_POD_LABELS,
      dns: env.PORTHOLE_DNS_PEER,
      denied: env.PORTHOLE_DENIED_CIDRS,
      allowed: env.PORTHOLE_ALLOWED_CIDRS,
    },
    selfTest: env.PORTHOLE_SELF_TEST,
    places: env.PORTHOLE_PROJECTS.map(({ project, namespace, service_account }) => ({
      project,
      namespace,
      serviceAccount: service_account,
    })),
    dial: env.PORTHOLE_DIAL,
  }
}
