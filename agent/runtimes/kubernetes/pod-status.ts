/**
 * What a pod's facts mean for its session. The mapping, first match counts:
 *
 * | pod                                         | instance  |
 * |---------------------------------------------|-----------|
 * | Succeeded, Failed                           | ended     |
 * | deletionTimestamp, condemned, half ended    | stopping  |
 * | its node silent for longer than we wait     | ended     |
 * | its node not ready, ran before              | running, with a reason: it may still run, nobody knows |
 * | Running, and its host says `ready`          | running   |
 * | anything else                               | starting  |
 */
import type { PodView } from '#protocol/session-spec.ts'
import { type HostStatus, readHostStatus } from '../host-status.ts'
import type { Instance } from '../runtime.ts'
import { label } from './labels.ts'
import { containerEnd, outOfMemory, type PodEnding, podEnding, readCondemned } from './pod-ending.ts'
import { containerName } from './pod-names.ts'
import { podTimeline } from './pod-timeline.ts'
import { last, podWaiting } from './pod-waiting.ts'
import type { KubeEvent, Pod } from './wire.ts'

export interface PodFacts {
  pod: Pod
  /** Of this pod, oldest first. */
  events: readonly KubeEvent[]
  /** What its host said last; null: never heard of it. */
  host: HostStatus | null
  /** The cluster's clock minus ours. */
  offset: number
  /** Our wall clock. */
  now: number
}

/** A node may come back within this; later its sessions count as failed. */
export const nodeLostMs = 300_000

export type PodMeaning = Pick<Instance, 'phase' | 'reason' | 'cause'> & {
  /** The pod should be made to end with this: nothing good can come of it any more. */
  condemn: PodEnding | null
  /** Milliseconds after which it means something else though nothing happens. */
  untilMs?: number
}

export function instanceOf(facts: PodFacts): Instance & Pick<PodMeaning, 'condemn' | 'untilMs'> {
  const { pod, host, events, offset } = facts
  const labels = pod.metadata?.labels ?? {}
  return {
    session: labels[label.session] ?? '',
    generation: Number(labels[label.generation]),
    name: pod.metadata?.name ?? '',
    uid: pod.metadata?.uid ?? '',
    ...podMeaning(facts),
    phases: podTimeline(pod, events, host, offset),
    activeAt: host?.active_at ?? null,
    display: host?.display ?? null,
    versions: host?.versions ?? {},
    notes: host?.notes ?? [],
    pod: podView(pod),
  }
}

export function podMeaning(facts: PodFacts): PodMeaning {
  const silence = nodeSilence(facts)
  const meaning = meaningNow(facts, silence)
  return silence === null || meaning.phase === 'ended' ? meaning : { ...meaning, untilMs: nodeLostMs - silence }
}

function meaningNow(facts: PodFacts, silence: number | null): PodMeaning {
  const { pod, events, host } = facts
  const ending = podEnding(pod)
  if (ending) return { phase: 'ended', ...ending, condemn: null }
  const condemned = readCondemned(pod)?.reason
  const node = pod.spec?.nodeName ?? 'its node'
  if (silence !== null && silence >= nodeLostMs) {
    const minutes = Math.round(silence / 60_000)
    return { phase: 'ended', cause: 'failed', reason: `${node} has not been heard of for ${minutes} minutes`, condemn: null }
  }
  if (pod.metadata?.deletionTimestamp) return { phase: 'stopping', ...(condemned && { reason: condemned }), condemn: null }
  if (condemned) return { phase: 'stopping', reason: condemned, condemn: null }
  const half = halfEnding(pod)
  if (half) return { phase: 'stopping', reason: half.reason, condemn: half }
  // An agent that came after the node went never heard of the host.
  if (silence !== null && (host ? host.state === 'ready' : allRunning(pod)))
    return { phase: 'running', reason: `${node} is not ready: whether the session still runs is not known`, condemn: null }
  if (pod.status?.phase === 'Running' && host?.state === 'ready' && allRunning(pod)) return { phase: 'running', condemn: null }
  if (host?.state === 'ending') return { phase: 'stopping', ...(host.reason && { reason: host.reason }), condemn: null }

  const waiting = podWaiting(pod, events)
  const reason = waiting?.reason ?? host?.reason ?? 'its programs are starting'
  return { phase: 'starting', reason, condemn: waiting?.hopeless ? { cause: 'failed', reason: waiting.reason } : null }
}

function allRunning(pod: Pod): boolean {
  return pod.status?.containerStatuses?.every(({ state }) => state?.running) ?? false
}

/** One of two containers ended: the other makes no session. */
function halfEnding(pod: Pod): PodEnding | null {
  const status = pod.status?.containerStatuses?.find(({ state }) => state?.terminated)
  if (!status || pod.status!.containerStatuses!.length < 2) return null
  const lastWords = status.name === containerName.main ? readHostStatus(status.state!.terminated!.message ?? '') : null
  if (lastWords?.reason) return { cause: lastWords.cause ?? 'failed', reason: lastWords.reason }
  if (status.state!.terminated!.reason === 'OOMKilled') return { cause: 'failed', reason: outOfMemory(pod, status) }
  return { cause: status.state!.terminated!.exitCode === 0 ? 'stopped' : 'failed', reason: containerEnd(status) }
}

/** Milliseconds since its node was last ready; null: as far as one can see, it is. */
function nodeSilence({ pod, events, offset, now }: PodFacts): number | null {
  if (pod.status?.phase !== 'Running' && pod.status?.phase !== 'Unknown') return null
  const ready = pod.status?.conditions?.find(condition => condition.type === 'Ready')
  const told = last(events, 'NodeNotReady')
  const lost =
    pod.status?.phase === 'Unknown' || ['NodeLost', 'NodeStatusUnknown'].includes(pod.status?.reason ?? ready?.reason ?? '')
  if (!lost && !(told && ready?.status === 'False')) return null
  // A node that lost touch leaves its containers' last state standing: a container that is really not ready says so itself.
  const since = Date.parse(ready?.lastTransitionTime ?? told?.lastTimestamp ?? '')
  if (Number.isNaN(since)) return 0
  const announced = Date.parse(told?.lastTimestamp ?? told?.eventTime ?? '')
  if (!lost && announced < since - 60_000) return null
  return Math.max(0, now - (since - offset))
}
export function podView(pod: Pod): PodView {
  const containers = pod.status?.containerStatuses ?? []
  return {
    name: pod.metadata?.name ?? '',
    namespace: pod.metadata?.namespace ?? '',
    phase: pod.status?.phase ?? 'Pending',
    node: pod.spec?.nodeName ?? null,
    ip: pod.status?.podIP ?? null,
    containers: containers.map(({ name, ready, restartCount, state }) => ({
      name,
      ready,
      restarts: restartCount,
      state: state?.running ? 'running' : state?.terminated ? 'terminated' : 'waiting',
      reason: state?.waiting?.reason ?? state?.terminated?.reason ?? null,
    })),
  }
}
