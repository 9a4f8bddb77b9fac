/** A rate that is taken by the verb which it limits, and what is told of one that was taken. */
import { Problem } from '../problem.ts'
import { noRate, type Rate, type RateFound, rateValues, type Taken, takenOf } from './gcra.ts'

export class PendingRate {
  /** When it has been taken, or could not be asked. */
  readonly settled: Promise<Taken>
  private readonly key: string
  private readonly rate: Rate
  private readonly ask: () => Promise<Taken>
  private readonly settle: (taken: Promise<Taken>) => void
  private asked: Promise<Taken> | null = null

  constructor(key: string, rate: Rate, ask: () => Promise<Taken>) {
    const { promise, resolve } = Promise.withResolvers<Taken>()
    this.settled = promise
    this.settle = resolve
    this.key = key
    this.rate = rate
    this.ask = ask
  }

  get isAsked(): boolean {
    return this.asked !== null
  }

  /** Asks now, if nobody has. */
  taken(): Promise<Taken> {
    if (!this.asked) {
      this.asked = this.ask()
      // Of those who are refused before they wait for it.
      this.asked.catch(() => {})
      this.settle(this.asked)
    }
    return this.asked
  }

  /** 429 when it is over. */
  async admitted(): Promise<void> {
    refuseOver(await this.taken())
  }

  /** Has it taken by a statement with `rateSteps`, which is given what those need. A statement that fails has taken nothing. */
  async by<F extends RateFound>(statement: (values: object) => Promise<F>): Promise<F> {
    if (this.asked) {
      await this.admitted()
      return statement(noRate)
    }
    const asking = Promise.withResolvers<Taken>()
    asking.promise.catch(() => {})
    this.asked = asking.promise
    try {
      const found = await statement(rateValues(this.key, this.rate))
      asking.resolve(takenOf(found, this.rate))
      this.settle(asking.promise)
      return found
    } catch (error) {
      this.asked = null
      // Of those who waited for it meanwhile.
      asking.resolve(this.taken())
      throw error
    }
  }
}

export const headersOf = ({ limit, remaining, resetSeconds }: Taken) => ({
  'ratelimit-limit': String(limit),
  'ratelimit-remaining': String(remaining),
  'ratelimit-reset': String(resetSeconds),
})

export function refuseOver(taken: Taken): void {
  if (taken.admitted) return
  throw new Problem('rate_limited', `At most ${taken.limit} a minute. Try again in ${taken.retrySeconds} s.`, {
    headers: { ...headersOf(taken), 'retry-after': String(Math.max(1, taken.retrySeconds)) },
  })
}
