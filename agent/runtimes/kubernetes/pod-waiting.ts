/** Why a pod is not running yet, and whether waiting can help: a sentence for people. */
import { sentence } from './pod-ending.ts'
import type { ContainerStatus, KubeEvent, Pod } from './wire.ts'

export interface PodWaiting {
  reason: string
  /** Waiting will not help: the pod should be ended with this reason. */
  hopeless: boolean
}

const never =
  /not found|manifest unknown|does not exist|no such image|unauthorized|authentication required|denied|forbidden|invalid reference/i

export function podWaiting(pod: Pod, events: readonly KubeEvent[]): PodWaiting | null {
  const scheduled = pod.status?.conditions?.find(condition => condition.type === 'PodScheduled')
  if (!pod.spec?.nodeName) {
    const words = scheduled?.status === 'False' ? scheduled.message : last(events, 'FailedScheduling')?.message
    return waiting(words ? `no node can take it: ${sentence(words)}` : 'waiting for a node')
  }
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  for (const status of statuses) {
    const problem = containerProblem(status, events)
    if (problem) return problem
  }
  const trouble = newest(events, ['FailedMount', 'FailedAttachVolume', 'FailedCreatePodSandBox', 'FailedBinding'])
  if (trouble && statuses.every(status => !status.state?.running)) {
    const what = /Mount|Attach|Binding/.test(trouble.reason ?? '') ? 'its volume is not ready' : 'its network is not ready'
    return waiting(`${what}: ${sentence(trouble.message ?? '')}`)
  }
  const pulling = newest(events, ['Pulling', 'Pulled', 'Created', 'Started'])
  if (pulling?.reason === 'Pulling')
    return waiting(sentence(pulling.message ?? 'pulling its image').replace(/^Pulling/, 'pulling'))
  if (pod.status?.phase === 'Pending') return waiting(`being set up on ${pod.spec.nodeName}`)
  return null
}

function containerProblem(status: ContainerStatus, events: readonly KubeEvent[]): PodWaiting | null {
  const { reason = '', message = '' } = status.state?.waiting ?? {}
  const image = status.image || 'its image'
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff': {
      // The back-off's own message only says "back-off": the event before it says why.
      const why = reason === 'ErrImagePull' && message ? message : (last(events, 'Failed', /pull/i)?.message ?? message)
      const words = `the image ${image} cannot be pulled: ${sentence(why).replace(/^Failed to pull image "[^"]*": /, '')}`
      return { reason: words, hopeless: reason === 'ImagePullBackOff' && never.test(why) }
    }
    case 'ErrImageNeverPull':
      return hopeless(`the image ${image} is not on the node, and imagePullPolicy Never forbids to fetch it`)
    case 'InvalidImageName':
      return hopeless(`${image} is not a valid image name`)
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
    case 'RunContainerError':
      return hopeless(`container ${status.name} cannot be made: ${sentence(message) || reason}`)
    default:
      return null
  }
}

/** The newest event with this reason (and message). */
export function last(events: readonly KubeEvent[], reason: string, message?: RegExp): KubeEvent | undefined {
  return events.findLast(event => event.reason === reason && (message?.test(event.message ?? '') ?? true))
}

function newest(events: readonly KubeEvent[], reasons: string[]): KubeEvent | undefined {
  return events.findLast(event => reasons.includes(event.reason ?? ''))
}

const waiting = (reason: string): PodWaiting => ({ reason, hopeless: false })
const hopeless = (reason: string): PodWaiting => ({ reason, hopeless: true })
