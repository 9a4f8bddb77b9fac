/**
 * Makes a session in the order that leaves nothing running unguarded: policy, claim, pod. Every step may be the last of this process, and every
 * step may be found done by the next one.
 */
import type { SessionSpec } from '#protocol/session-spec.ts'
import { claimFor } from './claims.ts'
import type { ClusterObjects } from './cluster-objects.ts'
import { isKubeError, isOvertaken } from './kube-error.ts'
import { annotation, label, ownLabels, specHash } from './labels.ts'
import { sessionPolicySpec } from './network-policy.ts'
import { CannotRun, sessionPod } from './pod-spec.ts'
import type { KubernetesSettings } from './settings.ts'
import { claimVolume } from './volume-writer.ts'
import type { NetworkPolicy, Pod } from './wire.ts'

export interface Making {
  name: string
  session: string
  generation: number
  spec: SessionSpec
}

/** Moments between two side effects, for tests that end the process there. */
export type Step = 'policy' | 'claim' | 'pod' | 'owner'

export interface SessionMakerParts {
  objects: ClusterObjects
  settings: KubernetesSettings
  /** Sessions that are being made here and may have no pod yet. */
  making: ReadonlySet<string>
  /** The pod's object as the server answered it. */
  made: (pod: Pod) => void
  after: (step: Step) => void
}

export async function makeSession(parts: SessionMakerParts, making: Making, signal: AbortSignal): Promise<void> {
  const { objects, settings, after } = parts
  const pod = sessionPod(making, settings)
  const policy = policyObject(making, pod.metadata!.labels!, settings)
  const claim = claimFor(making.session, making.spec, settings)
  const there = await ownPod(parts, making, signal)
  if (there) return parts.made(there)

  await ensurePolicy(objects, policy, signal)
  after('policy')
  if (claim) {
    await claimVolume(objects, claim, making.session, parts.making, settings.agentName, signal)
    after('claim')
  }
  await objects.ensure<Pod>('pods', pod, ownLabels(settings.agentName, 'session'), signal)
  after('pod')
  const made = await ownPod(parts, making, signal)
  // Ended by somebody the moment it was made: what the watch says of it counts.
  if (!made) return
  parts.made(made)
  await ownPolicy(objects, policy, made, signal)
  after('owner')
}

/** The pod of this making if it exists; a foreign one of its name is a refusal. */
async function ownPod(parts: SessionMakerParts, making: Making, signal: AbortSignal): Promise<Pod | null> {
  const { name, session, generation, spec } = making
  const pod = await parts.objects.find<Pod>('pods', name, signal)
  if (!pod) return null
  const { labels = {}, annotations = {} } = pod.metadata ?? {}
  const wanted: Record<string, string> = {
    ...ownLabels(parts.settings.agentName, 'session'),
    [label.session]: session,
    [label.generation]: String(generation),
  }
  const ours = Object.entries(wanted).every(([key, value]) => labels[key] === value)
  if (!ours || annotations[annotation.specHash] !== specHash(spec)) {
    throw new CannotRun(
      `a pod ${name} exists in namespace ${parts.settings.namespace} and is not this session's: it is left alone`,
    )
  }
  return pod
}

function policyObject(making: Making, labels: Record<string, string>, settings: KubernetesSettings): NetworkPolicy {
  const { name, session, generation, spec } = making
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: settings.namespace, labels },
    spec: sessionPolicySpec(session, generation, spec.egress, settings),
  }
}

async function ensurePolicy(objects: ClusterObjects, policy: NetworkPolicy, signal: AbortSignal): Promise<void> {
  const labels = policy.metadata!.labels!
  const mine = { [label.agent]: labels[label.agent]!, [label.session]: labels[label.session]! }
  for (;;) {
    const { object: there, made } = await objects.ensure('networkpolicies', policy, mine, signal)
    if (made) return
    const { name, uid } = there.metadata!
    // Owned by a pod that is gone: the cluster is about to take it away with that one.
    if (there.metadata?.ownerReferences?.length || there.metadata?.deletionTimestamp) {
      await objects.remove('networkpolicies', name!, uid!, signal)
      continue
    }
    try {
      await objects.patch('networkpolicies', name!, { metadata: { uid, labels }, spec: policy.spec }, signal)
      return
    } catch (error) {
      if (!isOvertaken(error)) throw error
    }
  }
}

/** From now on the policy goes when the pod goes, whoever takes it away. */
async function ownPolicy(objects: ClusterObjects, policy: NetworkPolicy, pod: Pod, signal: AbortSignal): Promise<void> {
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Pod', name: pod.metadata!.name!, uid: pod.metadata!.uid! }]
  try {
    await objects.patch('networkpolicies', policy.metadata!.name!, { metadata: { ownerReferences } }, signal)
  } catch (error) {
    if (!isKubeError(error, 404)) throw error
    const owned = { ...policy, metadata: { ...policy.metadata, ownerReferences } }
    await objects.ensure('networkpolicies', owned, {}, signal)
  }
}
