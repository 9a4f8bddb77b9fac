/**
 * A build as a pod: a run of the builder's image with one difference. It makes user namespaces and mounts inside them, which needs a seccomp profile that
 * lets it (deploy/seccomp/build.json); no privilege, no root, no capability, no socket of the node's container runtime.
 */
import type { RunSpec } from '#protocol/job-spec.ts'
import type { JobAttempt } from '../../job-runtime.ts'
import type { KubernetesSettings } from '../settings.ts'
import type { Pod } from '../wire.ts'
import { contextAnnotation } from './pod-context.ts'
import { runPod } from './run-pod.ts'

const type = 'porthole.dev/type'
/** What a pod writes here is in its status when it ends. */
export const buildResults = '/dev/termination-log'

export const isBuild = (pod: Pod) => pod.metadata?.annotations?.[type] === 'build'

export function buildPod(attempt: JobAttempt, spec: RunSpec, settings: KubernetesSettings): Pod {
  const pod = runPod(attempt, spec, settings)
  const sent = attempt.spec.type === 'build' && attempt.spec.source.upload != null
  const profile = settings.buildSeccompProfile
  const seccompProfile = profile === null ? { type: 'RuntimeDefault' } : { type: 'Localhost', localhostProfile: profile }
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      annotations: { ...pod.metadata?.annotations, [type]: 'build', ...(sent && { [contextAnnotation]: 'awaited' }) },
    },
    spec: { ...pod.spec!, securityContext: { ...pod.spec?.securityContext, seccompProfile } },
  }
}
