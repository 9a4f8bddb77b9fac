/** What a session's programs wrote: from its pod while that exists, then from what we took down as it left. */
import type { KubeClient } from './kube-client.ts'
import { KubeError } from './kube-error.ts'
import { containerName } from './pod-names.ts'
import type { Pod } from './wire.ts'

const keptBytes = 256 * 1024
const keptSessions = 200

export interface PodLogOptions {
  tailLines?: number
  follow: boolean
  container?: string
  /** See KubeRequest. */
  as?: string
  signal: AbortSignal
}

export async function* podLog(client: KubeClient, pod: Pod, options: PodLogOptions): AsyncGenerator<Uint8Array> {
  const { namespace, name } = pod.metadata!
  const body = await client.stream({
    method: 'GET',
    path: `/api/v1/namespaces/${namespace}/pods/${name}/log`,
    query: {
      container: options.container ?? speaker(pod),
      follow: options.follow || undefined,
      tailLines: options.tailLines,
    },
    ...(options.as !== undefined && { as: options.as }),
    priority: 'look',
    signal: options.signal,
  })
  try {
    for await (const chunk of body) yield chunk as Buffer
  } catch (error) {
    // Told to stop, or its node went away in the middle: what came is what there is.
    if (!options.signal.aborted && !options.follow) throw error
  } finally {
    body.destroy()
  }
}

/** The container people mean when they name none. */
export function speaker(pod: Pod): string {
  return pod.spec?.containers.some(({ name }) => name === containerName.app) ? containerName.app : containerName.main
}

/** The container has not begun to speak. */
export function isSilentYet(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    error.status === 400 &&
    /waiting to start|ContainerCreating|not yet|is not available/i.test(error.message)
  )
}

/** Last words of pods that are gone, by session, until the session is forgotten. */
export class LastWords {
  private readonly client: KubeClient
  private readonly kept = new Map<string, Buffer>()
  private readonly taking = new Map<string, Promise<void>>()

  constructor(client: KubeClient) {
    this.client = client
  }

  of(session: string): Buffer | undefined {
    return this.kept.get(session)
  }

  forget(session: string): void {
    this.kept.delete(session)
  }

  /** Takes down the end of the pod's log, once per pod; never rejects. */
  take(session: string, pod: Pod, signal: AbortSignal): Promise<void> {
    const uid = pod.metadata!.uid!
    const running = this.taking.get(uid)
    if (running) return running
    const work = this.read(session, pod, signal).catch(() => {})
    this.taking.set(uid, work)
    if (this.taking.size > keptSessions) this.taking.delete(this.taking.keys().next().value!)
    return work
  }

  /** The pod may say more: what was taken down is not the end. */
  again(uid: string): void {
    this.taking.delete(uid)
  }

  private async read(session: string, pod: Pod, signal: AbortSignal): Promise<void> {
    const parts: Uint8Array[] = []
    let size = 0
    for await (const part of podLog(this.client, pod, { tailLines: 2_000, follow: false, signal })) {
      parts.push(part)
      size += part.length
      while (size - parts[0]!.length > keptBytes) size -= parts.shift()!.length
    }
    if (size === 0) return
    this.kept.delete(session)
    this.kept.set(session, Buffer.concat(parts).subarray(-keptBytes))
    if (this.kept.size > keptSessions) this.kept.delete(this.kept.keys().next().value!)
  }
}

export function lastLines(text: Buffer, lines: number | undefined): Buffer {
  if (lines === undefined) return text
  if (lines === 0) return Buffer.alloc(0)
  let at = text.length - 1
  for (let found = 0; at > 0; at--) if (text[at - 1] === 10 && ++found === lines) break
  return text.subarray(Math.max(0, at))
}
