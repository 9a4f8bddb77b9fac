/**
 * Nudges on their way to the links. The first one of a cluster is passed on at once (with all that come in the same turn, as those of creates
 * that shared a transaction do); those of the next moment go together: what a nudge sets going costs more than the change it tells of.
 */

/** Below what anybody feels, above what one create takes. */
const restMs = 20
/** For what changes nothing that anybody waits for. */
const patienceMs = 100

export class Nudges {
  private readonly pass: (cluster: string) => void
  /** By cluster: whether another nudge came since the last was passed on. */
  private readonly resting = new Map<string, { again: boolean; timer: NodeJS.Timeout | null }>()
  /** By cluster: those that can wait for others. */
  private readonly patient = new Map<string, NodeJS.Timeout>()
  private closed = false

  constructor(pass: (cluster: string) => void) {
    this.pass = pass
  }

  /** `urgent`: false when nobody waits for it. */
  nudge(cluster: string, urgent = true): void {
    const rest = this.resting.get(cluster)
    if (!urgent) this.nudgeLater(cluster)
    else if (rest) rest.again = true
    else if (!this.closed) {
      this.resting.set(cluster, { again: true, timer: null })
      setImmediate(() => this.passOn(cluster))
    }
  }

  private nudgeLater(cluster: string): void {
    if (this.closed || this.patient.has(cluster) || this.resting.get(cluster)?.again) return
    this.patient.set(
      cluster,
      setTimeout(() => {
        this.patient.delete(cluster)
        this.nudge(cluster)
      }, patienceMs),
    )
  }

  close(): void {
    this.closed = true
    for (const timer of this.patient.values()) clearTimeout(timer)
    this.patient.clear()
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
    clearTimeout(this.patient.get(cluster))
    this.patient.delete(cluster)
    rest.timer = setTimeout(() => this.passOn(cluster), restMs)
    this.pass(cluster)
  }
}
