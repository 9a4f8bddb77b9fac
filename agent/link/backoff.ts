import { linkTiming } from '#protocol/link-messages.ts'

/** Full jitter: anywhere between nothing and a ceiling that doubles, so that a thousand agents never come back in step. */
export class Backoff {
  private attempts = 0
  private readonly random: () => number
  private readonly base: number
  private readonly cap: number
  constructor(random: () => number, base: number = linkTiming.backoffBase, cap: number = linkTiming.backoffCap) {
    this.random = random
    this.base = base
    this.cap = cap
  }
  next(): number {
    const ceiling = Math.min(this.cap, this.base * 2 ** Math.min(this.attempts, 16))
    this.attempts++
    return this.random() * ceiling
  }
  reset(): void {
    this.attempts = 0
  }
}
