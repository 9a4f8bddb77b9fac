/** When somebody last did something in a session: input seen on streams, and what the runtime itself saw inside. */
import type { Clock } from '../clock.ts'
import type { Instance } from '../runtimes/runtime.ts'
import { newest } from './observed-view.ts'

/** The API hears of it at once, and then at most so often; the last of it is always told. */
const tellEveryMs = 10_000

interface Telling {
  /** What was told, and when. */
  activeAt: number
  at: number
  cancel: (() => void) | null
}

export class Activity {
  private readonly viewers = new Map<string, number>()
  private readonly inside = new Map<string, { stamp: number; at: number }>()
  private readonly tellings = new Map<string, Telling>()
  private readonly clock: Clock
  private readonly news: () => void

  /** `news`: `told` has changed. */
  constructor(clock: Clock, news: () => void) {
    this.clock = clock
    this.news = news
  }

  /** Somebody did something just now. */
  mark(session: string): void {
    this.viewers.set(session, this.clock.now())
    this.moved(session)
  }

  /** Takes over what the runtime saw. Its stamps are wall time, turned once each: a jump of that clock afterwards ages nobody. */
  see({ session, activeAt }: Instance): void {
    if (activeAt === null || this.inside.get(session)?.stamp === activeAt) return
    this.inside.set(session, { stamp: activeAt, at: this.clock.now() - Math.max(0, this.clock.wall() - activeAt) })
    this.moved(session)
  }

  at(session: string): number | null {
    return newest(this.viewers.get(session) ?? null, this.inside.get(session)?.at ?? null)
  }

  /** As far as the API should know of it. */
  told(session: string): number | null {
    return this.tellings.get(session)?.activeAt ?? null
  }

  forget(session: string): void {
    this.viewers.delete(session)
    this.inside.delete(session)
    this.tellings.get(session)?.cancel?.()
    this.tellings.delete(session)
  }

  close(): void {
    for (const telling of this.tellings.values()) telling.cancel?.()
    this.tellings.clear()
  }

  private moved(session: string): void {
    const telling = this.tellings.get(session)
    const wait = telling ? telling.at + tellEveryMs - this.clock.now() : 0
    if (wait <= 0) this.tell(session)
    else telling!.cancel ??= this.clock.after(wait, () => this.tell(session))
  }

  private tell(session: string): void {
    const activeAt = this.at(session)
    if (activeAt === null) return
    this.tellings.get(session)?.cancel?.()
    this.tellings.set(session, { activeAt, at: this.clock.now(), cancel: null })
    this.news()
  }
}
