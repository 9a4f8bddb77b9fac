/** How bytes get into a pod: straight to its address where we are in the cluster, through the API server where we are not. */
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { HostDoor } from '../host-door.ts'
import { DialError } from '../runtime.ts'
import type { KubeClient } from './kube-client.ts'
import { podPorts } from './pod-names.ts'
import { forwardTo } from './port-forward.ts'
import type { Pod } from './wire.ts'

/** A stream that emits `connect` once it is open, or `error`. */
export type PodDialler = (pod: Pod, port: number) => Duplex

export function podDialler(client: KubeClient, way: 'pod-ip' | 'port-forward'): PodDialler {
  return (pod, port) => {
    if (way === 'port-forward') return forwardTo(client, pod.metadata!.namespace!, pod.metadata!.name!, port)
    const socket = connect({
      host: pod.status?.podIP ?? '0.0.0.0',
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    })
    return socket
  }
}

export function hostDoor(dial: PodDialler, pod: Pod): HostDoor {
  return { connect: () => dial(pod, podPorts.host) }
}

/** Resolves with the stream once it is open. */
export async function opened(stream: Duplex, what: string, signal: AbortSignal): Promise<Duplex> {
  const abort = () => stream.destroy(signal.reason as Error)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await new Promise<void>((resolve, reject) => {
      stream.once('connect', resolve)
      stream.once('error', reject)
      stream.once('close', () => reject(new Error('closed')))
    })
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof DialError) throw cause
    throw new DialError(502, 'target_refused', `${what} does not answer: ${(cause as Error).message}`)
  } finally {
    signal.removeEventListener('abort', abort)
  }
  return stream
}
