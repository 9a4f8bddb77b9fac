/** Whether an object is what it should become, from what the API server says of it and of its pods. Pure. */
import type { Pod } from '../wire.ts'
import type { Live } from './place-objects.ts'

export interface Health {
  state: 'ready' | 'waiting' | 'failed'
  /** For people: `available`, `2/3 updated`, `complete`, … */
  word: string
  reason: string | null
}

interface Condition {
  type: string
  status: string
  reason?: string
  message?: string
}

const ready = (word: string): Health => ({ state: 'ready', word, reason: null })
const waiting = (word: string, reason: string | null = null): Health => ({ state: 'waiting', word, reason })
const failed = (word: string, reason: string): Health => ({ state: 'failed', word, reason })

export function healthOf(object: Live): Health {
  const status = (object.status ?? {}) as Record<string, unknown> & { conditions?: Condition[] }
  const conditions = status.conditions ?? []
  const condition = (type: string) => conditions.find(each => each.type === type)
  const count = (field: string) => Number(status[field] ?? 0)
  const wanted = Number(object.spec?.replicas ?? 1)
  const seen = count('observedGeneration') >= Number(object.metadata?.generation ?? 0)
  switch (object.kind) {
    case 'Deployment': {
      const progressing = condition('Progressing')
      if (seen && progressing?.reason === 'ProgressDeadlineExceeded')
        return failed('stuck', progressing.message ?? 'makes no progress')
      if (!seen) return waiting('not seen yet')
      if (count('updatedReplicas') < wanted)
        return waiting(`${count('updatedReplicas')}/${wanted} updated`, condition('ReplicaFailure')?.message ?? null)
      if (count('replicas') > count('updatedReplicas')) return waiting(`${count('replicas') - count('updatedReplicas')} old left`)
      if (count('availableReplicas') < wanted) return waiting(`${count('availableReplicas')}/${wanted} available`)
      return ready('available')
    }
    case 'StatefulSet': {
      if (!seen) return waiting('not seen yet')
      if (status.updateRevision !== status.currentRevision && count('updatedReplicas') < wanted) {
        return waiting(`${count('updatedReplicas')}/${wanted} updated`)
      }
      if (count('readyReplicas') < wanted) return waiting(`${count('readyReplicas')}/${wanted} ready`)
      return ready('ready')
    }
    case 'Job': {
      const end = condition('Failed')
      if (end?.status === 'True') return failed('failed', end.message ?? end.reason ?? 'failed')
      if (condition('Complete')?.status === 'True') return ready('complete')
      return waiting(`${count('active')} active, ${count('succeeded')} succeeded, ${count('failed')} failed`)
    }
    case 'Pod': {
      if (status.phase === 'Succeeded') return ready('complete')
      if (status.phase === 'Failed') return failed('failed', String(status.message ?? status.reason ?? 'a container failed'))
      if (condition('Ready')?.status === 'True') return ready('ready')
      return waiting(String(status.phase ?? 'Pending').toLowerCase())
    }
    case 'PersistentVolumeClaim':
      // May wait for its first pod: who needs it is what is waited for.
      return ready(String(status.phase ?? 'Pending').toLowerCase())
    default:
      return ready('present')
  }
}

export interface PodTrouble {
  pod: string
  container: string
  word: string
  reason: string
  /** It will not pass by itself soon: no use in waiting. */
  final: boolean
  /** There is output of an earlier run. */
  ranBefore: boolean
}

const neverPasses = new Set([
  'InvalidImageName',
  'ErrImageNeverPull',
  'CreateContainerConfigError',
  'CreateContainerError',
  'ImagePullBackOff',
  'RunContainerError',
])
const crashesToGiveUp = 2

/** The worst that holds up these pods; null: nothing that can be told from them. */
export function troubleOf(pods: readonly Pod[]): PodTrouble | null {
  const all = pods.flatMap(pod => {
    if (pod.metadata?.deletionTimestamp) return []
    const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
    return statuses.flatMap((status): PodTrouble[] => {
      const stuck = status.state?.waiting
      if (!stuck?.reason || stuck.reason === 'ContainerCreating' || stuck.reason === 'PodInitializing') return []
      const last = status.lastState?.terminated
      const crashed = stuck.reason === 'CrashLoopBackOff'
      const exit = last
        ? `it ended with exit code ${last.exitCode}${last.reason && last.reason !== 'Error' ? ` (${last.reason})` : ''}`
        : null
      return [
        {
          pod: pod.metadata?.name ?? '',
          container: status.name,
          word: stuck.reason,
          reason: crashed
            ? `container ${status.name} crashes again and again: ${exit ?? 'it does not start'}`
            : `container ${status.name}: ${stuck.message ?? stuck.reason}`,
          final: neverPasses.has(stuck.reason) || (crashed && status.restartCount >= crashesToGiveUp),
          ranBefore: last !== undefined,
        },
      ]
    })
  })
  return all.find(trouble => trouble.final) ?? all[0] ?? null
}
