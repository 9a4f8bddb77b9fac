/** One writer at a time: a volume's claim carries the session that writes to it, changed by compare-and-set. */
import type { ClusterObjects } from './cluster-objects.ts'
import { isOvertaken } from './kube-error.ts'
import { annotation, carries, label, ownLabels, selectorText } from './labels.ts'
import { podEnding } from './pod-ending.ts'
import { CannotRun } from './pod-spec.ts'
import type { Claim, Pod } from './wire.ts'

/** Makes the claim or takes it over from a session that is gone. `making`: sessions on their way to a pod, which hold what they hold. */
export async function claimVolume(
  objects: ClusterObjects,
  claim: Claim,
  session: string,
  making: ReadonlySet<string>,
  agent: string,
  signal: AbortSignal,
): Promise<void> {
  const { labels = {}, name } = claim.metadata!
  const isVolume = labels[label.volume] !== undefined
  const mine = { [label.agent]: agent, ...(isVolume ? { [label.volume]: labels[label.volume]! } : { [label.session]: session }) }
  for (;;) {
    const { object: there, made } = await objects.ensure('persistentvolumeclaims', claim, mine, signal)
    if (there.metadata?.deletionTimestamp) throw new CannotRun(`${name} is being removed`)
    if (made || !isVolume) return
    const writer = there.metadata?.annotations?.[annotation.writer]
    if (writer === session) return
    if (writer) await refuseIfUsed(objects, labels[label.volume]!, writer, making, agent, signal)
    try {
      await setWriter(objects, there, session, signal)
      return
    } catch (error) {
      // Somebody else was faster: look again at who holds it now.
      if (!isOvertaken(error)) throw error
    }
  }
}

/** Lets go of it if it is still this session's. */
export async function releaseVolume(objects: ClusterObjects, name: string, session: string, signal: AbortSignal): Promise<void> {
  const there = await objects.find<Claim>('persistentvolumeclaims', name, signal)
  if (there?.metadata?.annotations?.[annotation.writer] !== session) return
  await setWriter(objects, there, null, signal).catch(error => {
    if (!isOvertaken(error)) throw error
  })
}

async function setWriter(objects: ClusterObjects, claim: Claim, session: string | null, signal: AbortSignal): Promise<void> {
  const { name, resourceVersion, uid } = claim.metadata!
  const annotations = { [annotation.writer]: session }
  await objects.patch('persistentvolumeclaims', name!, { metadata: { uid, resourceVersion, annotations } }, signal)
}

export async function refuseIfUsed(
  objects: ClusterObjects,
  volume: string,
  writer: string,
  making: ReadonlySet<string>,
  agent: string,
  signal: AbortSignal,
): Promise<void> {
  const selector = selectorText({ ...ownLabels(agent, 'session'), [label.session]: writer })
  const pods = await objects.list<Pod>('pods', selector, signal)
  const used = making.has(writer) || pods.some(pod => carries(pod, { [label.volume]: volume }) && !podEnding(pod))
  if (used) throw new CannotRun(`volume ${volume} is in use by session ${writer}: a volume has one writer at a time`)
}
