/** Looks at objects until all are healthy, one can no longer become so, or it is told to stop. Each object's state is reported as it changes. */
import { type Clock, sleep } from '#agent/clock.ts'
import type { JobResource } from '#protocol/job-spec.ts'
import { findKind, type Kind } from '#protocol/manifest/kinds.ts'
import type { Pod } from '../wire.ts'
import { healthOf, type PodTrouble, troubleOf } from './object-health.ts'
import type { Live, PlaceObjects } from './place-objects.ts'

const lookMs = 1_000
const podKind = findKind('v1', 'Pod')!
const replicaSets = { apiVersion: 'apps/v1', kind: 'ReplicaSet', plural: 'replicasets' }

export interface Watched {
  kind: Kind
  name: string
}

export interface HealthWait {
  objects: PlaceObjects
  clock: Clock
  signal: AbortSignal
  report(resources: JobResource[]): void
  /** All must be healthy for so long without a break: what has no readiness probe counts as ready until it crashes. Default 0. */
  staysMs?: number
  log(line: string): void
  /** Looked at with them, and reported behind them. */
  more?(): Promise<JobResource[]>
}

export interface Unhealthy {
  kind: string
  name: string
  reason: string
  trouble: PodTrouble | null
}

/** null: all healthy. Rejects with the signal's reason. */
export async function untilHealthy(all: readonly Watched[], wait: HealthWait): Promise<Unhealthy | null> {
  const { objects, clock, signal, report, log, staysMs = 0 } = wait
  let since: number | null = null
  const told = new Map<string, string>()
  for (;;) {
    const looked = []
    for (const each of all) looked.push({ ...each, ...(await look(each, wait)) })
    const states = looked.map(({ kind, name, word, reason }) => ({
      kind: kind.kind,
      name,
      namespace: objects.place.namespace,
      state: word,
      reason: reason?.slice(0, 1000) ?? null,
    }))
    report([...states, ...((await wait.more?.()) ?? [])])
    for (const { kind, name, word, reason } of looked) {
      const line = `${kind.kind}/${name}: ${word}${reason ? ` (${reason})` : ''}`
      if (told.get(`${kind.kind}/${name}`) !== line) log(line)
      told.set(`${kind.kind}/${name}`, line)
    }
    const bad = looked.find(({ state }) => state === 'failed')
    if (bad) return { kind: bad.kind.kind, name: bad.name, reason: bad.reason ?? bad.word, trouble: bad.trouble }
    since = looked.every(({ state }) => state === 'ready') ? (since ?? clock.now()) : null
    if (since !== null && clock.now() - since >= staysMs) return null
    await sleep(clock, lookMs, signal)
    signal.throwIfAborted()
  }
}

interface Look {
  state: 'ready' | 'waiting' | 'failed'
  word: string
  reason: string | null
  trouble: PodTrouble | null
}

async function look({ kind, name }: Watched, { objects, signal, log }: HealthWait): Promise<Look> {
  const live = await objects.find(kind, name, signal)
  if (!live) return { state: 'failed', word: 'gone', reason: 'somebody deleted it', trouble: null }
  const health = healthOf({ ...live, kind: kind.kind })
  if (health.state === 'ready' || !kind.podSpec || kind.kind === 'CronJob') return { ...health, trouble: null }
  const selector = podsOf(kind, live)
  const pods = selector ? await objects.pods(selector, signal) : []
  const isCurrent = await currentPods(kind, live, objects, signal)
  const old = pods.filter(pod => !isCurrent(pod))
  // A StatefulSet waits for ever for a pod of a broken version to become ready before it replaces it.
  if (kind.kind === 'StatefulSet') for (const pod of old) if (troubleOf([pod])?.final) await replace(pod, objects, log, signal)
  const trouble = troubleOf(pods.filter(isCurrent))
  if (trouble && (trouble.final || health.state === 'failed'))
    return { state: 'failed', word: trouble.word, reason: trouble.reason, trouble }
  if (trouble) return { ...health, reason: trouble.reason, trouble }
  if (health.state === 'waiting' && pods.length === 0 && health.reason === null) {
    const warnings = await objects.warnings(kind.kind, name, signal)
    return { ...health, reason: warnings.at(-1) ?? null, trouble: null }
  }
  return { ...health, trouble: null }
}

/** Pods of the version that is being rolled out: what an older one suffers from says nothing of this one. */
async function currentPods(kind: Kind, live: Live, objects: PlaceObjects, signal: AbortSignal): Promise<(pod: Pod) => boolean> {
  const labelIs = (key: string, value: unknown) => (pod: Pod) => value !== undefined && pod.metadata?.labels?.[key] === value
  if (kind.kind === 'Pod') return pod => pod.metadata?.name === live.metadata?.name
  const status = live.status as { observedGeneration?: number; updateRevision?: string } | undefined
  if (kind.kind === 'Job') return () => true
  if ((status?.observedGeneration ?? 0) < (live.metadata?.generation ?? 0)) return () => false
  if (kind.kind === 'StatefulSet') return labelIs('controller-revision-hash', status?.updateRevision)
  const revision = 'deployment.kubernetes.io/revision'
  const sets = await objects.list(replicaSets, podsOf(kind, live) ?? '', signal)
  const newest = sets.find(
    set =>
      set.metadata?.ownerReferences?.some(owner => owner.uid === live.metadata?.uid) &&
      set.metadata?.annotations?.[revision] === live.metadata?.annotations?.[revision],
  )
  return labelIs('pod-template-hash', newest?.metadata?.labels?.['pod-template-hash'])
}

async function replace(pod: Pod, objects: PlaceObjects, log: (line: string) => void, signal: AbortSignal): Promise<void> {
  if (pod.metadata?.deletionTimestamp) return
  log(`Pod/${pod.metadata?.name}: is of a version that does not run, and goes`)
  await objects.remove(podKind, pod.metadata!.name!, pod.metadata!.uid!, signal)
}

export function podsOf(kind: Kind, live: Live): string | null {
  if (kind.kind === 'Job') return `job-name=${live.metadata?.name}`
  const labels =
    kind.kind === 'Pod'
      ? live.metadata?.labels
      : (live.spec?.selector as { matchLabels?: Record<string, string> } | undefined)?.matchLabels
  const words = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`)
  return words.length > 0 ? words.join(',') : null
}
