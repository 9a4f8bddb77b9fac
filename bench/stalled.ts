/** What a viewer that never reads costs the API: its own memory for it (the kernel's buffers apart), and that it stays so while the source goes on. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Figure } from './figures.ts'
import type { Options } from './options.ts'
import { memoryOf } from './processes.ts'
import { openStage, type Stage } from './stage.ts'

const suite = 'stalled'
const laterMs = 10_000

export async function stalledSuite({ say }: Options): Promise<Figure[]> {
  const stage = await openStage()
  try {
    // Once before, so that what is paid only once is not counted.
    for (const ws of await stalled(stage, 10)) ws.terminate()
    const figures: Figure[] = []
    for (const count of [1, 10, 100]) {
      say(`stalled: ${count} viewers that never read`)
      const before = await settled(stage)
      const viewers = await stalled(stage, count)
      const first = await settled(stage)
      await delay(laterMs)
      const later = await settled(stage)
      for (const ws of viewers) ws.terminate()
      const per = (now: Held, what: keyof Held) => Math.max(0, now[what] - before[what]) / count / 2 ** 20
      const target = { is: 'at most', than: 1.5, of: 'value' } as const
      figures.push(
        {
          ...{ suite, name: `memory in use of each of ${count}`, unit: 'MB', value: per(later, 'used'), target },
          peer: { name: `${laterMs / 1000} s before`, value: per(first, 'used') },
        },
        {
          ...{
            suite,
            name: `resident memory of each of ${count}`,
            unit: 'MB',
            value: per(later, 'resident'),
            target,
            peer: null,
          },
        },
      )
    }
    return figures
  } finally {
    await stage.close()
  }
}

async function stalled(stage: Stage, count: number) {
  const viewers = await Promise.all(Array.from({ length: count }, () => stage.stream()))
  for (const ws of viewers) {
    ws.on('error', () => {})
    ws.pause()
    ws.send(Buffer.from(`send ${2 ** 40}\n`))
  }
  return viewers
}

interface Held {
  used: number
  resident: number
}

async function held(stage: Stage): Promise<Held> {
  const { memory } = await stage.api.ask<{ memory: NodeJS.MemoryUsage }>({})
  return { used: memory.heapUsed + memory.external, resident: memoryOf(stage.api.pid) }
}

/** Once the buffers on the way are full the source has nothing to do. */
async function settled(stage: Stage): Promise<Held> {
  for (let tries = 0; tries < 60; tries++) {
    const before = stage.target.cpu()
    await delay(2_000)
    if (stage.target.cpu() - before <= 0.02) break
  }
  return held(stage)
}
