/** Repeated work with one owner: no run overlaps its next, a failure is logged and forgotten, and `stop` waits for what still runs. */
import type { Log } from '../platform.ts'

export class Timers {
  private readonly handles = new Set<NodeJS.Timeout>()
  private readonly running = new Set<Promise<void>>()
  private readonly log: Log
  private stopped = false
  constructor(log: Log) {
    this.log = log
  }

  every(ms: number, name: string, work: () => void | Promise<void>): void {
    let busy = false
    const handle = setInterval(() => {
      if (busy || this.stopped) return
      busy = true
      const run = Promise.resolve()
        .then(work)
        .catch(error => this.log.warn('timer_failed', { timer: name, message: String(error), cause: String(error?.cause ?? '') }))
        .finally(() => {
          busy = false
          this.running.delete(run)
        })
      this.running.add(run)
    }, ms)
    this.handles.add(handle)
  }

  async stop(): Promise<void> {
    this.stopped = true
    for (const handle of this.handles) clearInterval(handle)
    this.handles.clear()
    await Promise.all(this.running)
  }
}
