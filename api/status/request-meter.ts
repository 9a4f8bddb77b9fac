/** Counts requests and how long their answers took to begin, by declared route: what a client makes up never becomes a label. */
import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { AppEnv } from '../route.ts'
import type { Family } from './exposition.ts'

const bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface Durations {
  /** Of each bound, not yet summed up. */
  counts: number[]
  sum: number
  count: number
}

export class RequestMeter {
  /** By route, then method and status. */
  private readonly requests = new Map<string, Map<string, { labels: Record<string, string>; value: number }>>()
  private readonly durations = new Map<string, Durations>()
  private readonly now: () => number
  constructor(now: () => number = () => performance.now()) {
    this.now = now
  }

  readonly middleware: MiddlewareHandler<AppEnv> = async (c, next) => {
    const start = this.now()
    await next()
    const route = matchedRoutes(c).findLast(({ method }) => method !== 'ALL')
    this.record(route?.method ?? 'any', route?.path ?? 'none', c.res.status, (this.now() - start) / 1000)
  }

  record(method: string, route: string, status: number, seconds: number): void {
    let ofRoute = this.requests.get(route)
    if (!ofRoute) this.requests.set(route, (ofRoute = new Map()))
    const key = `${method} ${status}`
    const known = ofRoute.get(key)
    if (known) known.value++
    else ofRoute.set(key, { labels: { method, route, status: String(status) }, value: 1 })
    let durations = this.durations.get(route)
    if (!durations) this.durations.set(route, (durations = { counts: bounds.map(() => 0), sum: 0, count: 0 }))
    const bucket = bounds.findIndex(bound => seconds <= bound)
    if (bucket >= 0) durations.counts[bucket]!++
    durations.sum += seconds
    durations.count++
  }

  families(): Family[] {
    return [
      {
        name: 'porthole_http_requests_total',
        help: 'Requests answered by this replica.',
        type: 'counter',
        samples: [...this.requests.values()].flatMap(ofRoute => [...ofRoute.values()]),
      },
      {
        name: 'porthole_http_request_duration_seconds',
        help: 'Time until the answer began.',
        type: 'histogram',
        samples: [...this.durations].flatMap(([route, durations]) => bucketSamples(route, durations)),
      },
    ]
  }
}

function bucketSamples(route: string, { counts, sum, count }: Durations) {
  let below = 0
  return [
    ...bounds.map((bound, i) => ({
      suffix: '_bucket',
      labels: { route, le: String(bound) },
      value: (below += counts[i]!),
    })),
    { suffix: '_bucket', labels: { route, le: '+Inf' }, value: count },
    { suffix: '_sum', labels: { route }, value: sum },
    { suffix: '_count', labels: { route }, value: count },
  ]
}
