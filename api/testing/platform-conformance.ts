/** One suite for every platform, over one running API; `api/node` and `api/workers` run it against their own. */
import { afterAll, beforeAll, describe } from 'vitest'
import { exchangeConformance } from './exchange-conformance.ts'
import type { PlatformApi } from './platform-api.ts'
import { routeConformance } from './route-conformance.ts'
import { streamConformance } from './stream-conformance.ts'

/** `own`: what is only true of this platform, over the same running API. */
export function platformConformance<Api extends PlatformApi>(
  platform: string,
  start: () => Promise<Api>,
  own: (running: () => Api) => void = () => {},
): void {
  describe(platform, () => {
    let api: Api
    beforeAll(async () => {
      api = await start()
    }, 120_000)
    afterAll(() => api?.close())
    routeConformance(() => api)
    exchangeConformance(() => api)
    streamConformance(() => api)
    own(() => api)
  })
}
