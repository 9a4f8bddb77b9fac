/** The pods of what a manifest applied: their state among its resources, their containers' output among its streams. */
import type { JobResource } from '#protocol/job-spec.ts'
import type { LogPiece, LogPosition } from '../../job-runtime.ts'
import { podOutput } from '../jobs/run-logs.ts'
import type { KubeClient } from '../kube-client.ts'
import { isKubeError } from '../kube-error.ts'
import { selectorText } from '../labels.ts'
import type { Pod } from '../wire.ts'
import { type Owner, ofSet } from './manifest-labels.ts'
import { accountOf, type ProjectPlace } from './project-places.ts'
import type { TaskContext } from './task.ts'

/** Of one job; more are not kept. */
export const mostStreams = 16
/** All of them together must leave the task room to ask. */
const lookMs = 3_000

/** A look at them; answers their states, and sees to it that their output is brought. */
export function podWatch(owner: Owner, { objects, signal, streams }: TaskContext): () => Promise<JobResource[]> {
  const selector = selectorText(ofSet(owner))
  return async () => {
    const pods = await objects.pods(selector, signal)
    streams(pods.flatMap(pod => containersOf(pod).map(name => `${pod.metadata!.name}/${name}`)))
    return pods.map(pod => ({
      kind: 'Pod',
      name: pod.metadata!.name!,
      namespace: objects.place.namespace,
      state: pod.metadata?.deletionTimestamp ? 'ending' : (pod.status?.phase ?? 'Pending').toLowerCase(),
      reason: pod.status?.reason?.slice(0, 1000) ?? null,
    }))
  }
}

export const containersOf = ({ spec }: Pod) =>
  [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ name }) => name)

export interface PodStreamParts {
  client: KubeClient
  clock: TaskContext['clock']
  place: ProjectPlace
  /** Aborts with the task's end: from then on only what is there already is read. */
  over: AbortSignal
  signal: AbortSignal
}

/** `stream`: pod/container. */
export async function* podStream(parts: PodStreamParts, stream: string, from: LogPosition): AsyncGenerator<LogPiece> {
  const { client, clock, place, over, signal } = parts
  const [pod, container] = stream.split('/') as [string, string]
  const path = `/api/v1/namespaces/${place.namespace}/pods/${pod}`
  const as = accountOf(place)
  const ended = async () => {
    if (over.aborted) return true
    try {
      return containerEnded(await client.request<Pod>({ method: 'GET', path, as, priority: 'look', signal }), container)
    } catch (error) {
      return isKubeError(error, 404)
    }
  }
  yield* podOutput({ client, clock, path: `${path}/log`, container, as, ended, over, lookMs, signal }, from)
}

/** For good: nobody starts it again in this pod. */
function containerEnded({ status }: Pod, container: string): boolean {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return true
  return status?.initContainerStatuses?.find(({ name }) => name === container)?.state?.terminated?.exitCode === 0
}
