/**
 * Nudges on their way to the links. The first one of a cluster is passed on at once (with all that come in the same turn, as those of creates
 * that shared a transaction do); those of the next moment go together: what a nudge sets going costs more than the change it tells of.
 */

/** Below what anybody feels, above what one create takes. */
const restMs = 20

export class Nudges {
  private readonly pass: (cluster: string) => void
  /** By cluster: whether another nudge came since the last was passed on. */
  private readonly resting = new Map<string, { again: boolean; timer: NodeJS.Timeout | null }>()
  private closed = false

  constructor(pass: (cluster: string) => void) {
    this.pass = pass
  }

  nudge(cluster: string): void {
    const rest = this.resting.get(cluster)
    if (rest) rest.again = true
    else if (!this.closed) {
      this.resting.set(cluster, { again: true, timer: null })
      setImmediate(() => this.passOn(cluster))
    }
  }

  close(): void {
    this.closed = true
    for (const { timer } of this.resting.values()) if (timer) clearTimeout(timer)
    this.resting.clear()
  }

  private passOn(cluster: string): void {
    const rest = this.resting.get(cluster)
    if (!rest?.again) {
      this.resting.delete(cluster)
      return
    }
    rest.again = false
    rest.timer = setTimeout(() => this.passOn(cluster), restMs)
    this.pass(cluster)
  }
}
