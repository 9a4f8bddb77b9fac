/** Removes the files of volumes the API has let go of, each until it worked. What is removed is reported for as long as the API asks. */
import type { Clock } from '../clock.ts'
import { Backoff } from '../link/backoff.ts'
import { type Log, whatFailed } from '../log.ts'
import type { VolumeStore } from '../runtimes/runtime.ts'
import type { DesiredState } from './desired-state.ts'

export interface VolumeSweepParts {
  /** undefined: this runtime has no volumes of its own, so there is nothing to remove and nothing to claim. */
  store: VolumeStore | undefined
  desired: DesiredState
  clock: Clock
  log: Log
  changed: () => void
}

const retryBaseMs = 2_000
const retryCapMs = 60_000

export class VolumeSweep {
  private readonly gone = new Set<string>()
  private readonly busy = new Set<string>()
  private readonly retries = new Map<string, { backoff: Backoff; cancel: () => void }>()
  private closed = false
  private readonly parts: VolumeSweepParts

  constructor(parts: VolumeSweepParts) {
    this.parts = parts
  }

  wake = (): void => {
    const { store, desired } = this.parts
    if (!store || this.closed) return
    for (const volume of this.gone) if (!desired.deletedVolumes.has(volume)) this.gone.delete(volume)
    for (const volume of desired.deletedVolumes) {
      if (!this.gone.has(volume) && !this.busy.has(volume) && !this.retries.has(volume)) this.remove(store, volume, null)
    }
  }

  absent(): string[] {
    return [...this.gone].filter(volume => this.parts.desired.deletedVolumes.has(volume))
  }

  close(): void {
    this.closed = true
    for (const { cancel } of this.retries.values()) cancel()
    this.retries.clear()
  }

  private remove(store: VolumeStore, volume: string, earlier: Backoff | null): void {
    const { clock, log, changed } = this.parts
    this.busy.add(volume)
    store
      .remove(volume)
      .then(() => {
        this.gone.add(volume)
        log.info('volume removed', { volume })
        changed()
      })
      .catch(error => {
        if (this.closed) return
        const backoff = earlier ?? new Backoff(() => 1, retryBaseMs, retryCapMs)
        const wait = backoff.next()
        log.warn('a volume cannot be removed yet', { volume, error: whatFailed(error), retry_ms: wait })
        const cancel = clock.after(wait, () => {
          this.retries.delete(volume)
          if (this.parts.desired.deletedVolumes.has(volume)) this.remove(store, volume, backoff)
        })
        this.retries.set(volume, { backoff, cancel })
      })
      .finally(() => this.busy.delete(volume))
  }
}
