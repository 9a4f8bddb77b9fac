/** Waiting for what a runtime shows, by its own wake-ups: no sleeping, no polling. */
import type { Instance, Runtime } from '../runtime.ts'

export async function whenSeen<T>(
  runtime: Runtime,
  look: (instances: Instance[]) => T | undefined | false,
  ms = 180_000,
): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    let last: Instance[] = []
    const finish = (act: () => void) => {
      clearTimeout(timer)
      unwatch()
      act()
    }
    const check = () => {
      runtime.observe().then(
        seen => {
          last = seen
          const found = look(seen)
          if (found) finish(() => resolve(found))
        },
        cause => finish(() => reject(cause)),
      )
    }
    const timer = setTimeout(() => finish(() => reject(new Error(`not seen in ${ms} ms; last: ${JSON.stringify(last)}`))), ms)
    const unwatch = runtime.watch(check)
    check()
  })
}

export function inPhase(name: string, ...phases: Instance['phase'][]) {
  return (seen: Instance[]) => seen.find(each => each.name === name && phases.includes(each.phase))
}

/** Running, or why it is not. */
export async function whenRunning(runtime: Runtime, name: string): Promise<Instance> {
  const instance = await whenSeen(runtime, inPhase(name, 'running', 'ended'))
  if (instance.phase === 'ended') throw new Error(`${name} ended: ${instance.reason}`)
  return instance
}

/** Stops it as the agent does: a runtime that was not done within its own time is asked again. A kubelet may look at a pod once a minute only. */
export async function stopped(runtime: Runtime, name: string, uid: string, graceMs: number): Promise<void> {
  for (let tries = 3; ; tries--) {
    try {
      return await runtime.stop(name, uid, graceMs)
    } catch (error) {
      if (tries === 1 || (error as Error).name !== 'TimeoutError') throw error
    }
  }
}

export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of body) parts.push(part)
  return Buffer.concat(parts)
}
