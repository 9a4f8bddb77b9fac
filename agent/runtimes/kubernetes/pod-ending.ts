/**
 * Why a pod is over, as a sentence. First match counts:
 *
 * | seen                                   | told                                                    |
 * |----------------------------------------|---------------------------------------------------------|
 * | we condemned it (annotation)           | that reason                                             |
 * | status.reason Evicted, OutOf…, Node…   | the kubelet's words                                     |
 * | a container was OOMKilled              | the memory limit                                        |
 * | the host left its last words           | its reason and cause                                    |
 * | status.reason DeadlineExceeded         | the last wall                                           |
 * | a container could not start / exited   | its message or exit code                                |
 */
import { readHostStatus } from '../host-status.ts'
import { annotation } from './labels.ts'
import { containerName } from './pod-names.ts'
import { formatBytes, parseQuantity } from './quantity.ts'
import type { ContainerStatus, Pod } from './wire.ts'

export interface PodEnding {
  cause: 'failed' | 'stopped'
  reason: string
}

/** null: something of it still runs, or will. */
export function podEnding(pod: Pod): PodEnding | null {
  const phase = pod.status?.phase
  if (phase !== 'Failed' && phase !== 'Succeeded') return null
  const condemned = readCondemned(pod)
  if (condemned) return condemned
  const { reason: word = '', message = '' } = pod.status ?? {}
  const node = pod.spec?.nodeName ?? 'its node'
  const disruption = pod.status?.conditions?.find(({ type, status }) => type === 'DisruptionTarget' && status === 'True')
  if (word === 'Evicted') return failed(`evicted from ${node}: ${sentence(message) || 'the node was short of resources'}`)
  if (word === 'NodeLost' || word === 'NodeShutdown' || word === 'Terminated' || word === 'Shutdown') {
    return failed(`${node} went away: ${sentence(message) || word}`)
  }
  if (/^OutOf|^NodeAffinity|^UnexpectedAdmissionError|^Preempt/.test(word))
    return failed(`${node} refused it: ${sentence(message) || word}`)

  if (disruption) return failed(`the cluster took it away: ${sentence(disruption.message ?? disruption.reason ?? '')}`)

  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  const killed = statuses.find(status => ended(status)?.reason === 'OOMKilled')
  if (killed) return failed(outOfMemory(pod, killed))
  const main = statuses.find(status => status.name === containerName.main)
  const lastWords = readHostStatus(ended(main)?.message ?? '')
  if (lastWords?.state === 'ending' && lastWords.reason && word !== 'DeadlineExceeded')
    return { cause: lastWords.cause ?? 'failed', reason: lastWords.reason }
  if (word === 'DeadlineExceeded') {
    return failed('it reached the longest life this cluster allows (activeDeadlineSeconds)')
  }
  const app = statuses.find(status => status.name === containerName.app && ended(status))
  const culprit = app ?? statuses.find(status => (ended(status)?.exitCode ?? 0) !== 0)
  if (culprit) return { cause: ended(culprit)!.exitCode === 0 ? 'stopped' : 'failed', reason: containerEnd(culprit) }
  if (phase === 'Succeeded') return { cause: 'stopped', reason: 'its programs were closed' }
  return failed(sentence(message) || word || 'its pod failed without saying why')
}

/** `failed: reason`, as `condemnation` writes it. */
export function readCondemned(pod: Pod): PodEnding | null {
  const [, cause, reason] = /^(failed|stopped): (.*)$/s.exec(pod.metadata?.annotations?.[annotation.condemned] ?? '') ?? []
  return cause && reason ? { cause: cause as PodEnding['cause'], reason } : null
}

/** A patch after which the kubelet ends the pod and keeps it, with its logs. */
export function condemnation({ cause, reason }: PodEnding) {
  return { metadata: { annotations: { [annotation.condemned]: `${cause}: ${reason}` } }, spec: { activeDeadlineSeconds: 1 } }
}

/** How one container ended, for people. */
export function containerEnd(status: ContainerStatus): string {
  const { exitCode = -1, reason = '', message = '' } = ended(status) ?? {}
  const who = status.name === containerName.app ? `the program (${status.image})` : `container ${status.name}`
  if (reason === 'ContainerCannotRun' || reason === 'StartError') return `${who} could not be started: ${sentence(message)}`
  const said = sentence(message)
  const tail = said && !said.startsWith('{') ? `: ${said}` : ''
  if (exitCode === 0) return `${who} was closed`
  if (exitCode === 137) return `${who} was killed (exit code 137)${tail}`
  if (exitCode === 139) return `${who} crashed (segmentation fault)${tail}`
  if (exitCode === 127 || exitCode === 126) return `${who} could not run its command (exit code ${exitCode})${tail}`
  return `${who} exited with code ${exitCode}${tail}`
}

export function outOfMemory(pod: Pod, status: ContainerStatus): string {
  const limit = parseQuantity(pod.spec?.containers.find(c => c.name === status.name)?.resources?.limits?.memory)
  const amount = limit === null ? '' : `its limit of ${formatBytes(limit)}`
  return `out of memory: it used more than ${amount || 'it may'} (OOMKilled); ask for more with resources.memory`
}

function ended(status: ContainerStatus | undefined) {
  return status?.state?.terminated
}

export function sentence(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 400)
}

const failed = (reason: string): PodEnding => ({ cause: 'failed', reason })
