/** The stations of a pod's life on the agent's clock, oldest first: Kubernetes' and then the host program's own. */
import type { HostStatus } from '../host-status.ts'
import { containerName } from './pod-names.ts'
import type { KubeEvent, Pod } from './wire.ts'

export interface Station {
  phase: string
  at: number
}

const told: Record<string, string> = { Pulling: 'pulling_image', Pulled: 'image_ready', NodeNotReady: 'node_not_ready' }

/** `offset`: the cluster's clock minus ours. */
export function podTimeline(pod: Pod, events: readonly KubeEvent[], host: HostStatus | null, offset: number): Station[] {
  const stations: Station[] = []
  const add = (phase: string, time: string | undefined) => {
    const at = Date.parse(time ?? '') - offset
    if (!Number.isNaN(at) && !stations.some(station => station.phase === phase)) stations.push({ phase, at })
  }
  add('created', pod.metadata?.creationTimestamp)
  const condition = (type: string) =>
    pod.status?.conditions?.find(c => c.type === type && c.status === 'True')?.lastTransitionTime
  add('scheduled', condition('PodScheduled'))
  for (const event of events) {
    const phase = told[event.reason ?? '']
    if (phase) add(phase, event.firstTimestamp ?? event.eventTime ?? event.lastTimestamp)
  }
  for (const status of pod.status?.containerStatuses ?? []) {
    const since = status.state?.running?.startedAt ?? status.state?.terminated?.startedAt
    add(status.name === containerName.app ? 'program_started' : 'container_started', since)
  }
  for (const { phase, at } of host?.phases ?? []) if (phase !== 'created') stations.push({ phase, at })
  add(
    'ended',
    pod.status?.containerStatuses?.map(status => status.state?.terminated?.finishedAt).findLast(time => time),
  )
  // Kubernetes counts whole seconds: a container that started "before" it was scheduled did not.
  const order = (station: Station) => Math.floor(station.at / 1000)
  return stations
    .map((station, index) => ({ station, index }))
    .sort(byTime)
    .map(({ station }) => station)

  function byTime(a: { station: Station; index: number }, b: { station: Station; index: number }): number {
    return order(a.station) - order(b.station) || a.index - b.index
  }
}
