/** What the cluster spends, looked at from time to time and told with the load; a runtime that cannot say leaves it null. */
import { type Clock, sleep } from './clock.ts'
import type { Figures, Runtime } from './runtimes/runtime.ts'

const firstMs = 3_000
const everyMs = 15_000

export class LoadWatch {
  figures: Figures = { cpu_millis_used: null, memory_bytes_used: null }
  private readonly parts: { runtime: Pick<Runtime, 'figures'>; clock: Clock; changed: () => void }

  constructor(parts: LoadWatch['parts']) {
    this.parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { runtime, clock, changed } = this.parts
    if (!runtime.figures) return
    for (let wait = firstMs; !signal.aborted; wait = everyMs) {
      await sleep(clock, wait, signal)
      if (signal.aborted) return
      const { cpu_millis_used, memory_bytes_used } = runtime.figures()
      if (cpu_millis_used === this.figures.cpu_millis_used && memory_bytes_used === this.figures.memory_bytes_used) continue
      this.figures = { cpu_millis_used, memory_bytes_used }
      changed()
    }
  }
}
