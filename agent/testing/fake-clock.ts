/** A clock that moves only when told. Timers due at the same moment run in the order they were set. */
import type { Clock } from '../clock.ts'

export class FakeClock implements Clock {
  private time = 1_000_000
  private wallOffset = 1_700_000_000_000
  private timers: { at: number; order: number; run: () => void }[] = []
  private order = 0

  now = (): number => this.time
  wall = (): number => this.time + this.wallOffset
  /** The wall clock is set; the steady one is not. */
  stepWall(ms: number): void {
    this.wallOffset += ms
  }
  /** Time goes by while somebody works: nothing falls due meanwhile. */
  pass(ms: number): void {
    this.time += ms
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + Math.max(0, ms), order: this.order++, run }
    this.timers.push(timer)
    return () => {
      this.timers = this.timers.filter(other => other !== timer)
    }
  }
  get waiting(): number {
    return this.timers.length
  }
  /** Moves on by `ms`, running what falls due on the way and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.time + ms
    await settle()
    for (;;) {
      const next = this.timers.filter(timer => timer.at <= until).sort((a, b) => a.at - b.at || a.order - b.order)[0]
      if (!next) break
      this.timers = this.timers.filter(other => other !== next)
      this.time = Math.max(this.time, next.at)
      next.run()
      await settle()
    }
    this.time = until
    await settle()
  }
}

/** Lets everything that waits on resolved promises go on, including what that starts. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) await new Promise(resolve => setImmediate(resolve))
}
