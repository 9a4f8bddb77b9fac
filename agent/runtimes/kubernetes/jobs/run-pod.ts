/**
 * A `run` attempt as a pod, and the wall around it. A bare pod, not a Job object: the Job controller may start the same program twice, a pod of a
 * fixed name that is never restarted runs once or not at all. Pure.
 */
import type { RunSpec } from '#protocol/job-spec.ts'
import { type JobAttempt, JobRefused } from '../../job-runtime.ts'
import { label, labelValue, ownLabels } from '../labels.ts'
import { egressRules, fromAgent } from '../network-policy.ts'
import { containerRules, podRules } from '../pod-spec.ts'
import { bytesQuantity, cpuQuantity } from '../quantity.ts'
import type { KubernetesSettings } from '../settings.ts'
import type { Container, NetworkPolicy, Pod } from '../wire.ts'

export const runLabel = { job: 'porthole.dev/job', attempt: 'porthole.dev/attempt' } as const
export const runAnnotation = {
  /** We ended it because it was asked for: what the kubelet then says is not a deadline. */
  canceled: 'porthole.dev/canceled',
  /** Streams' marks and ages compare with this. */
  timeout: 'porthole.dev/timeout-seconds',
} as const
export const runContainer = 'job'
const home = '/home/porthole'

export function runLabels(agent: string): Record<string, string> {
  return { ...ownLabels(agent, 'session'), [label.part]: 'job' }
}

export function attemptLabels(agent: string, attempt: JobAttempt): Record<string, string> {
  return {
    ...runLabels(agent),
    [runLabel.job]: attempt.job,
    [runLabel.attempt]: String(attempt.attempt),
    [label.project]: labelValue(attempt.project),
  }
}

export function runPod(attempt: JobAttempt, spec: RunSpec, settings: KubernetesSettings): Pod {
  if (!spec.image) throw new JobRefused('A job in a cluster needs an image.')
  const seconds = Math.ceil(attempt.timeoutMs / 1000)
  const disk = { sizeLimit: bytesQuantity(spec.limits.storage_bytes ?? settings.scratchBytes) }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: attempt.name,
      namespace: settings.namespace,
      labels: attemptLabels(settings.agentName, attempt),
      annotations: { [runAnnotation.timeout]: String(seconds) },
    },
    spec: {
      ...podRules(settings),
      activeDeadlineSeconds: seconds,
      terminationGracePeriodSeconds: Math.ceil(attempt.graceMs / 1000),
      containers: [container(spec, spec.image, attempt.secrets, settings)],
      volumes: [
        { name: 'home', emptyDir: disk },
        { name: 'tmp', emptyDir: disk },
      ],
    },
  }
}

function container(spec: RunSpec, image: string, secrets: Record<string, string>, settings: KubernetesSettings): Container {
  const cpu = spec.limits.cpu_millis ?? settings.defaultLimits.cpu_millis
  const memory = spec.limits.memory_bytes ?? settings.defaultLimits.memory_bytes
  const given = Object.entries(spec.secret_env).map(([name, secret]): [string, string] => [name, secrets[secret] ?? ''])
  const env = Object.entries({ HOME: home, ...spec.env, ...Object.fromEntries(given) })
  return {
    name: runContainer,
    image,
    imagePullPolicy: settings.imagePullPolicy,
    ...(spec.command && { command: spec.command }),
    ...(spec.args && { args: spec.args }),
    workingDir: spec.working_dir ?? home,
    env: env.map(([name, value]) => ({ name, value: value.replaceAll('$(', '$$(') })),
    resources: {
      limits: { cpu: cpuQuantity(cpu), memory: bytesQuantity(memory) },
      requests: {
        cpu: cpuQuantity(Math.min(cpu, spec.requests.cpu_millis ?? settings.defaultRequests.cpu_millis)),
        memory: bytesQuantity(Math.min(memory, spec.requests.memory_bytes ?? settings.defaultRequests.memory_bytes)),
      },
    },
    // Images that were not made for it write where they like; the file system is the container's own and goes with it.
    securityContext: { ...containerRules, readOnlyRootFilesystem: false },
    terminationMessagePolicy: 'File',
    volumeMounts: [
      { name: 'home', mountPath: home },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  }
}

/** Nobody comes in but the agent with what is to be built; out as the job's egress says. */
export function runPolicy(
  attempt: JobAttempt,
  spec: RunSpec,
  settings: KubernetesSettings,
  ingress: number | null = null,
): NetworkPolicy {
  const labels = attemptLabels(settings.agentName, attempt)
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: attempt.name, namespace: settings.namespace, labels },
    spec: {
      podSelector: { matchLabels: { [runLabel.job]: attempt.job, [runLabel.attempt]: String(attempt.attempt) } },
      policyTypes: ['Ingress', 'Egress'],
      ingress: ingress === null ? [] : [{ from: fromAgent(settings), ports: [{ protocol: 'TCP', port: ingress }] }],
      egress: egressRules(spec.egress, settings.network),
    },
  }
}
