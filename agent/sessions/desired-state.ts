/**
 * What the API wants, put together from snapshot pages and deltas. Deadlines are turned into the agent's own clock on arrival.
 * A snapshot counts only once its last page is there; deltas that arrive meanwhile are laid over it.
 */

import type { DesiredJob } from '#protocol/job-spec.ts'
import type { DesiredSession, SessionSpec } from '#protocol/session-spec.ts'
import type { Clock } from '../clock.ts'

export interface Wanted {
  id: string
  generation: number
  state: 'running' | 'stopped' | 'deleted'
  spec: SessionSpec | undefined
  /** On the agent's monotonic clock; null: no end. */
  deadline: number | null
  idleTimeoutMs: number | null
  touches: number
  touchedAt: number | null
  /** Of a pool, nobody's yet. */
  warm: boolean
}

/** What snapshot pages and deltas have in common. */
export interface DesiredChange {
  seq: number
  items: DesiredSession[]
  deleted_volumes?: string[] | undefined
  jobs?: DesiredJob[] | undefined
  ended_terminals?: string[] | undefined
}

export class DesiredState {
  readonly wanted = new Map<string, Wanted>()
  /** Volumes whose files should go. */
  readonly deletedVolumes = new Set<string>()
  readonly jobs = new Map<string, DesiredJob>()
  /** Whether a complete snapshot of the present epoch has arrived: before that nothing is started and nothing collected. */
  complete = false
  seq = 0
  private endedTerminals: string[] = []
  private pages: DesiredChange[] = []
  private pageSeq: number | null = null
  private held: DesiredChange[] = []
  /** Ids of the last two complete snapshots of this epoch, newest last. */
  private seen: Set<string>[] = []
  private readonly clock: Pick<Clock, 'now'>

  constructor(clock: Pick<Clock, 'now'>) {
    this.clock = clock
  }

  /** A new term: what was wanted stays in force until its first complete snapshot, but proves nothing about garbage. */
  beginEpoch(): void {
    this.complete = false
    this.seq = 0
    this.seen = []
    this.dropPages()
  }

  /** True when this page completed a snapshot (which is then in force). */
  page(page: DesiredChange & { complete: boolean }): boolean {
    if (this.pageSeq !== page.seq) {
      if (this.complete && page.seq < this.seq) return false
      this.dropPages(this.complete)
    }
    this.pageSeq = page.seq
    this.pages.push(page)
    if (!page.complete) return false

    const next = new Map<string, Wanted>()
    for (const item of this.pages.flatMap(each => each.items)) next.set(item.id, this.take(item, this.wanted.get(item.id)))
    this.wanted.clear()
    for (const [id, wanted] of next) this.wanted.set(id, wanted)
    this.jobs.clear()
    for (const job of this.pages.flatMap(each => each.jobs ?? [])) this.jobs.set(job.id, job)
    this.deletedVolumes.clear()
    for (const volume of this.pages.flatMap(each => each.deleted_volumes ?? [])) this.deletedVolumes.add(volume)
    this.endedTerminals.push(...this.pages.flatMap(each => each.ended_terminals ?? []))
    this.seen = [...this.seen.slice(-1), new Set([...next.keys(), ...this.jobs.keys()])]
    this.seq = page.seq
    this.complete = true
    const held = this.held
    this.dropPages()
    for (const delta of held) this.delta(delta)
    return true
  }

  /** True when it is in force now; a delta older than what is known is a repetition and changes nothing. */
  delta(delta: DesiredChange): boolean {
    if (!this.complete) {
      this.held.push(delta)
      return false
    }
    if (this.pageSeq !== null) this.held.push(delta)
    if (delta.seq <= this.seq) return true
    for (const item of delta.items) {
      const known = this.wanted.get(item.id)
      if (known && item.generation < known.generation) continue
      this.wanted.set(item.id, this.take(item, known))
      // As good as in the last snapshot: what is new since is not missing from it.
      this.seen.at(-1)?.add(item.id)
    }
    for (const job of delta.jobs ?? []) {
      if (job.attempt < (this.jobs.get(job.id)?.attempt ?? 0)) continue
      this.jobs.set(job.id, job)
      this.seen.at(-1)?.add(job.id)
    }
    for (const volume of delta.deleted_volumes ?? []) this.deletedVolumes.add(volume)
    this.endedTerminals.push(...(delta.ended_terminals ?? []))
    this.seq = delta.seq
    return true
  }

  /** Terminals that should not run; each is said once to whoever asks. */
  takeEndedTerminals(): string[] {
    return this.endedTerminals.splice(0)
  }

  /** Absent from the last two complete snapshots of this epoch, and from every delta since. */
  isGarbage(id: string): boolean {
    return (
      this.complete && this.seen.length === 2 && !this.wanted.has(id) && !this.jobs.has(id) && !this.seen.some(ids => ids.has(id))
    )
  }

  private take(item: DesiredSession, known: Wanted | undefined): Wanted {
    const now = this.clock.now()
    const touched = known !== undefined && item.touches > known.touches
    return {
      id: item.id,
      generation: item.generation,
      state: item.state,
      spec: item.spec ?? known?.spec,
      deadline: item.ttl_remaining_ms === null ? null : now + item.ttl_remaining_ms,
      idleTimeoutMs: item.idle_timeout_ms,
      touches: item.touches,
      touchedAt: touched ? now : (known?.touchedAt ?? null),
      warm: item.warm === true,
    }
  }

  private dropPages(withHeld = true): void {
    this.pages = []
    this.pageSeq = null
    if (withHeld) this.held = []
  }
}
