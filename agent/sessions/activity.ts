/** When somebody last did something in a session: input seen on streams, and what the runtime itself saw inside. */
import type { Clock } from '../clock.ts'
import type { Instance } from '../runtimes/runtime.ts'
import { newest } from './observed-view.ts'

export class Activity {
  private readonly viewers = new Map<string, number>()
  private readonly inside = new Map<string, { stamp: number; at: number }>()
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Somebody did something just now; answers when the time before that was. */
  mark(session: string): number | null {
    const before = this.viewers.get(session) ?? null
    this.viewers.set(session, this.clock.now())
    return before
  }

  /** Takes over what the runtime saw. Its stamps are wall time, turned once each: a jump of that clock afterwards ages nobody. */
  see({ session, activeAt }: Instance): void {
    if (activeAt === null || this.inside.get(session)?.stamp === activeAt) return
    this.inside.set(session, { stamp: activeAt, at: this.clock.now() - Math.max(0, this.clock.wall() - activeAt) })
  }

  at(session: string): number | null {
    return newest(this.viewers.get(session) ?? null, this.inside.get(session)?.at ?? null)
  }

  forget(session: string): void {
    this.viewers.delete(session)
    this.inside.delete(session)
  }
}
