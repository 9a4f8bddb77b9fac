/**
 * How what a build is made from gets into its pod, which may have no way to the API: the agent comes in, to one port that the pod opens for this alone and
 * closes once it has everything. Who comes says the pod's key first.
 */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { buildVariable } from '../../build-script.ts'
import type { BuildContext } from '../../job-runtime.ts'
import type { PodDialler } from '../pod-dialler.ts'
import { opened } from '../pod-dialler.ts'
import type { Pod } from '../wire.ts'

export const contextPort = 7100
/** `awaited`, then `delivered`. */
export const contextAnnotation = 'porthole.dev/context'
/** No byte went for so long: somebody is gone. */
const stalledMs = 60_000

export const awaitsContext = (pod: Pod) => pod.metadata?.annotations?.[contextAnnotation] === 'awaited'

/** Rejects when the pod has not said that it has all of it. */
export async function carryIn(dial: PodDialler, pod: Pod, context: BuildContext, signal: AbortSignal): Promise<void> {
  const key = variable(pod, buildVariable.contextKey)
  const bytes = Number(variable(pod, buildVariable.contextBytes))
  const wire = await opened(dial(pod, contextPort), 'the build', signal)
  const over = new AbortController()
  const until = AbortSignal.any([signal, over.signal])
  const abort = () => wire.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  const heard = answer(wire)
  heard.catch(() => {})
  try {
    await put(wire, Buffer.from(key), heard)
    let sent = 0
    for await (const piece of await context(until)) {
      sent += piece.length
      if (sent > bytes) break
      await put(wire, piece, heard)
    }
    if (sent !== bytes) throw new Error(`${sent} bytes came, of ${bytes}`)
    await timely(heard)
  } finally {
    over.abort()
    signal.removeEventListener('abort', abort)
    wire.destroy()
  }
}

function variable(pod: Pod, name: string): string {
  return pod.spec?.containers[0]?.env?.find(each => each.name === name)?.value ?? ''
}

async function put(wire: Duplex, data: Uint8Array, heard: Promise<void>): Promise<void> {
  if (!wire.write(data))
    await timely(Promise.race([once(wire, 'drain'), heard.then(() => Promise.reject(new Error('it was cut short')))]))
}

/** Resolves with the pod's word that it has everything. */
function answer(wire: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    wire.on('data', chunk => {
      said += String(chunk)
      if (said.includes('ok')) resolve()
    })
    wire.once('error', reject)
    wire.once('close', () => reject(new Error('the build hung up')))
    wire.once('end', () => reject(new Error('the build hung up')))
  })
}

async function timely<T>(work: Promise<T>): Promise<T> {
  const late = new AbortController()
  try {
    const stalled = delay(stalledMs, undefined, { signal: late.signal }).then(() =>
      Promise.reject(new Error('the way to the build is stuck')),
    )
    return await Promise.race([work, stalled])
  } finally {
    late.abort()
  }
}
