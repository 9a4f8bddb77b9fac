/** Waits until objects that were told to go are gone. */
import { sleep } from '#agent/clock.ts'
import type { Kind } from '#protocol/manifest/kinds.ts'
import type { Live } from './place-objects.ts'
import type { TaskContext } from './task.ts'

const lookMs = 500

export async function untilGone(
  all: readonly { kind: Kind; live: Live }[],
  { objects, clock, signal, resources }: Pick<TaskContext, 'objects' | 'clock' | 'signal' | 'resources'>,
): Promise<void> {
  for (;;) {
    const left: (typeof all)[number][] = []
    for (const each of all) {
      const now = await objects.find(each.kind, each.live.metadata!.name!, signal)
      if (now?.metadata?.uid === each.live.metadata!.uid) left.push(each)
    }
    const gone = new Set(all.filter(each => !left.includes(each)))
    resources(
      all.map(each => ({
        kind: each.kind.kind,
        name: each.live.metadata!.name!,
        namespace: objects.place.namespace,
        state: gone.has(each) ? 'deleted' : 'deleting',
        reason: null,
      })),
    )
    if (left.length === 0) return
    await sleep(clock, lookMs, signal)
    signal.throwIfAborted()
  }
}
