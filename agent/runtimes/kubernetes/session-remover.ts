/** Ends sessions and removes what is left of them. A pod counts as gone when the server says so, never because we asked. */
import { type Clock, sleep } from '#agent/clock.ts'
import { homeName } from './claims.ts'
import type { ClusterObjects } from './cluster-objects.ts'
import type { KubeClient } from './kube-client.ts'
import { isKubeError } from './kube-error.ts'
import { carries, label, objectName, ownLabels, selectorText } from './labels.ts'
import type { PodBook } from './pod-book.ts'
import { releaseVolume } from './volume-writer.ts'
import type { Claim, NetworkPolicy, Pod } from './wire.ts'

export interface SessionRemoverParts {
  client: KubeClient
  objects: ClusterObjects
  book: PodBook
  clock: Clock
  agent: string
}

const lookAgainMs = 5_000
/**
 * Seconds. None would take the object away at once, whatever still runs. One less is for a kubelet that missed the first word: a shorter grace is news to it,
 * and spares us the minute until it looks at all its pods anyway.
 */
const leastGrace = 2
/** A node that is alive ends a pod well within this. */
const patientMs = 30_000

/** Resolves when nothing of exactly this pod is left. */
export async function removePod(
  parts: SessionRemoverParts,
  name: string,
  uid: string,
  graceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { objects, book, clock } = parts
  const known = book.pods.items.get(uid)
  book.dismiss(uid)
  const grace = Math.max(leastGrace, Math.ceil(graceMs / 1000))
  let left = await objects.remove('pods', name, uid, signal, grace)
  const asked = clock.now()
  let forced = false
  let reminded = false
  while (left) {
    if (forced || !hasEnded(book.pods.items.get(uid))) await newsOf(parts, uid, lookAgainMs, signal)
    signal.throwIfAborted()
    const there = await objects.find<Pod>('pods', name, signal)
    if (there?.metadata?.uid !== uid) break
    const waited = clock.now() - asked
    forced = hasEnded(there) || (waited > patientMs && (await nodeIsGone(parts.client, there, signal)))
    if (forced) left = (await objects.remove('pods', name, uid, signal, 0)) && (await isThere(objects, name, uid, signal))
    else if (!reminded && waited > grace * 1000 + lookAgainMs) {
      reminded = true
      await objects.remove('pods', name, uid, signal, leastGrace - 1)
    }
  }
  if (known) book.pods.gone(uid)
  await removePolicy(parts, name, uid, signal)
  const volume = known?.metadata?.labels?.[label.volume]
  const session = known?.metadata?.labels?.[label.session]
  if (volume && session) await releaseVolume(objects, objectName(volume), session, signal)
}

/** The policy of a pod that is gone; one of another making stays. */
async function removePolicy(parts: SessionRemoverParts, name: string, uid: string, signal: AbortSignal): Promise<void> {
  const { objects, agent } = parts
  const policy = await objects.find<NetworkPolicy>('networkpolicies', name, signal)
  if (!policy || !carries(policy, { [label.agent]: agent })) return
  const owners = policy.metadata?.ownerReferences ?? []
  const mine = owners.length === 0 ? !(await objects.find<Pod>('pods', name, signal)) : owners.some(owner => owner.uid === uid)
  if (mine) await objects.remove('networkpolicies', name, policy.metadata!.uid!, signal)
}

/** Removes what a session keeps between its generations; volumes are not a session's. */
export async function removeLeftovers(parts: SessionRemoverParts, session: string, signal: AbortSignal): Promise<void> {
  const { objects, agent, book } = parts
  const selector = selectorText({ ...ownLabels(agent, 'session'), [label.session]: session })
  for (const policy of await objects.list<NetworkPolicy>('networkpolicies', selector, signal))
    await objects.remove('networkpolicies', policy.metadata!.name!, policy.metadata!.uid!, signal)
  for (const claim of await objects.list<Claim>('persistentvolumeclaims', selector, signal))
    if (claim.metadata!.name === homeName(session))
      await objects.remove('persistentvolumeclaims', claim.metadata!.name!, claim.metadata!.uid!, signal)
  book.forget(session)
}

/** It changed, is gone, or nothing was heard of it for a while. */
async function newsOf({ book, clock }: SessionRemoverParts, uid: string, ms: number, signal: AbortSignal): Promise<void> {
  const news = new AbortController()
  const unfollow = book.pods.onNews(uid, () => news.abort())
  try {
    if (book.pods.items.has(uid)) await sleep(clock, ms, AbortSignal.any([signal, news.signal]))
    else await sleep(clock, 500, signal)
  } finally {
    unfollow()
  }
}

/**
 * Its kubelet has told the end of every container (or of the pod, having forgotten them), and none is started again: what is left are the kubelet's own
 * chores, for which older ones take ten seconds and more. Taking the object away then is no guess about what still runs.
 */
function hasEnded(pod: Pod | undefined): boolean {
  if (pod?.metadata?.deletionTimestamp === undefined) return false
  const { phase, containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {}
  if (phase === 'Failed' || phase === 'Succeeded')
    return [...initContainerStatuses, ...containerStatuses].every(({ state }) => !state?.running)
  return containerStatuses.length === pod.spec?.containers.length && containerStatuses.every(({ state }) => state?.terminated)
}

async function isThere(objects: ClusterObjects, name: string, uid: string, signal: AbortSignal): Promise<boolean> {
  return (await objects.find<Pod>('pods', name, signal))?.metadata?.uid === uid
}

/** Only when we may see nodes and this one does not exist: then nobody is left to end its pods. */
async function nodeIsGone(client: KubeClient, pod: Pod, signal: AbortSignal): Promise<boolean> {
  const node = pod.spec?.nodeName
  if (!node) return true
  try {
    await client.request({ method: 'GET', path: `/api/v1/nodes/${node}`, priority: 'look', signal })
    return false
  } catch (error) {
    return isKubeError(error, 404)
  }
}
