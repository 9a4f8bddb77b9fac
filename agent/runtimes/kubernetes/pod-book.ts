/**
 * All sessions as this agent sees them now: pods and events by watch, each running pod's host by its poll. Remembers pods that went away without
 * our doing, so that their sessions end with a reason.
 */
import type { Clock } from '#agent/clock.ts'
import type { Log } from '#agent/log.ts'
import type { HostStatus } from '../host-status.ts'
import type { Instance } from '../runtime.ts'
import { followHost } from './host-follower.ts'
import type { KubeClient } from './kube-client.ts'
import { label, ownLabels, selectorText } from './labels.ts'
import { hostDoor, type PodDialler } from './pod-dialler.ts'
import { type PodEnding, podEnding } from './pod-ending.ts'
import { containerName } from './pod-names.ts'
import { instanceOf } from './pod-status.ts'
import type { KubernetesSettings } from './settings.ts'
import { WatchedList } from './watched-list.ts'
import type { KubeEvent, Pod } from './wire.ts'

export interface PodBookParts {
  client: KubeClient
  settings: KubernetesSettings
  dial: PodDialler
  clock: Clock
  random: () => number
  log: Log
  /** Something new is known. */
  changed: () => void
  /** A pod that should be made to end. Called at every look until it is seen done. */
  condemn: (pod: Pod, ending: PodEnding) => void
  /** A pod is on its way out: its last words can be had now or never. */
  leaving: (pod: Pod) => void
}

/** Unheard of for longer than this, what we hold may be wrong. */
const trustMs = 150_000
const keptEvents = 50

export class PodBook {
  readonly pods: WatchedList<Pod>
  private readonly events: WatchedList<KubeEvent>
  private readonly parts: PodBookParts
  private readonly eventsOf = new Map<string, Map<string, KubeEvent>>()
  private readonly hosts = new Map<string, { status: HostStatus | null; stop: () => void }>()
  /** By uid: gone without our doing. */
  private readonly ghosts = new Map<string, Instance>()
  /** Uids whose end we asked for. */
  private readonly dismissed = new Set<string>()
  /** By uid: when time alone makes something else of a pod, somebody must look. */
  private readonly timers = new Map<string, () => void>()

  constructor(parts: PodBookParts) {
    this.parts = parts
    const { client, settings, clock, random, log } = parts
    const common = { client, clock, random, log }
    const namespace = `/api/v1/namespaces/${settings.namespace}`
    this.pods = new WatchedList<Pod>({
      ...common,
      path: `${namespace}/pods`,
      selector: { labelSelector: selectorText(ownLabels(settings.agentName, 'session')) },
      changed: ({ kind, object }) => (kind === 'set' ? this.podSet(object) : this.podGone(object)),
    })
    this.events = new WatchedList<KubeEvent>({
      ...common,
      path: `${namespace}/events`,
      selector: { fieldSelector: 'involvedObject.kind=Pod' },
      changed: ({ kind, object }) => this.eventChanged(kind, object),
    })
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([this.pods.run(signal), this.events.run(signal)])
    } finally {
      for (const { stop } of this.hosts.values()) stop()
      for (const cancel of this.timers.values()) cancel()
    }
  }

  /** Rejects when what is known is too old to act on. */
  async instances(): Promise<Instance[]> {
    await this.pods.ready
    const silence = this.parts.clock.now() - (this.pods.heardAt ?? 0)
    if (silence > trustMs) throw new Error(`the API server has not been heard of for ${Math.round(silence / 1000)} s`)
    const shown = [...this.pods.items.values()].map(pod => this.instance(pod))
    return [...shown, ...this.ghosts.values()]
  }

  /** The pod to dial: the newest one of the session that is not on its way out. */
  livePod(session: string): Pod | undefined {
    return this.podsOf(session).findLast(pod => !pod.metadata?.deletionTimestamp && !podEnding(pod))
  }

  /** All of the session's pods, oldest generation first. */
  podsOf(session: string): Pod[] {
    const own = [...this.pods.items.values()].filter(pod => pod.metadata?.labels?.[label.session] === session)
    return own.sort((a, b) => generationOf(a) - generationOf(b))
  }

  /** From now on its going away is no surprise. */
  dismiss(uid: string): void {
    this.dismissed.add(uid)
    if (this.ghosts.delete(uid)) this.parts.changed()
  }

  forget(session: string): void {
    for (const [uid, ghost] of this.ghosts) if (ghost.session === session) this.ghosts.delete(uid)
  }

  private instance(pod: Pod): Instance {
    const uid = pod.metadata!.uid!
    const { clock, client, condemn } = this.parts
    const {
      condemn: ending,
      untilMs,
      ...instance
    } = instanceOf({
      pod,
      events: this.eventsAbout(uid),
      host: this.hosts.get(uid)?.status ?? null,
      offset: client.clockOffset(),
      now: clock.wall(),
    })
    if (ending && !this.dismissed.has(uid)) condemn(pod, ending)
    this.lookIn(uid, untilMs)
    return instance
  }

  private lookIn(uid: string, ms: number | undefined): void {
    this.timers.get(uid)?.()
    this.timers.delete(uid)
    if (ms !== undefined)
      this.timers.set(
        uid,
        this.parts.clock.after(ms, () => this.parts.changed()),
      )
  }

  private podSet(pod: Pod): void {
    const uid = pod.metadata!.uid!
    const main = pod.status?.containerStatuses?.find(status => status.name === containerName.main)
    if (main?.state?.running && !this.hosts.has(uid)) this.follow(uid, pod)
    if (main?.state?.terminated) this.unfollow(uid)
    if (pod.metadata?.deletionTimestamp || podEnding(pod)) this.parts.leaving(pod)
    this.parts.changed()
  }

  private podGone(pod: Pod): void {
    const uid = pod.metadata!.uid!
    if (!this.dismissed.delete(uid)) {
      const { phase, reason, cause, ...rest } = this.instance(pod)
      const known = phase === 'ended' && !pod.metadata?.deletionTimestamp
      const why = known ? { reason, cause } : { reason: takenAway(pod), cause: 'failed' as const }
      this.ghosts.set(uid, { ...rest, ...(why as { reason: string; cause: 'failed' }), phase: 'ended', pod: null })
    }
    this.lookIn(uid, undefined)
    this.unfollow(uid)
    this.hosts.delete(uid)
    this.eventsOf.delete(uid)
    this.parts.changed()
  }

  private follow(uid: string, pod: Pod): void {
    const { dial, clock, random, changed } = this.parts
    const life = new AbortController()
    const entry: { status: HostStatus | null; stop: () => void } = { status: null, stop: () => life.abort() }
    this.hosts.set(uid, entry)
    const heard = (status: HostStatus) => {
      entry.status = status
      changed()
    }
    void followHost({ door: hostDoor(dial, pod), clock, random, heard }, life.signal)
  }

  private unfollow(uid: string): void {
    this.hosts.get(uid)?.stop()
  }

  private eventsAbout(uid: string): KubeEvent[] {
    const list = [...(this.eventsOf.get(uid)?.values() ?? [])]
    return list.sort((a, b) => timeOf(a) - timeOf(b)).slice(-keptEvents)
  }

  private eventChanged(kind: 'set' | 'gone', event: KubeEvent): void {
    const about = event.involvedObject?.uid
    if (!about) return
    const known = this.eventsOf.get(about)
    if (kind === 'gone') {
      known?.delete(event.metadata!.uid!)
      return
    }
    if (known) known.set(event.metadata!.uid!, event)
    else this.eventsOf.set(about, new Map([[event.metadata!.uid!, event]]))
    if (this.pods.items.has(about)) this.parts.changed()
  }
}

function takenAway(pod: Pod): string {
  const ending = podEnding({ ...pod, status: { ...pod.status, containerStatuses: [] } })
  if (ending && /evicted|went away|took it away|refused it/.test(ending.reason)) return ending.reason
  return 'its pod was deleted by somebody else in the cluster, not by Porthole'
}

function timeOf(event: KubeEvent): number {
  return (
    Date.parse(event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata?.creationTimestamp ?? '') || 0
  )
}

function generationOf(pod: Pod): number {
  return Number(pod.metadata?.labels?.[label.generation]) || 0
}
