/** One suite for every platform, over one running API; `api/node` and `api/workers` run it against their own. */
import { afterAll, beforeAll, describe } from 'vitest'
import { exchangeConformance } from './exchange-conformance.ts'
import type { PlatformApi } from './platform-api.ts'
import { routeConformance } from './route-conformance.ts'
import { streamConformance } from './stream-conformance.ts'

export function platformConformance(platform: string, start: () => Promise<PlatformApi>): void {
  describe(platform, () => {
    let api: PlatformApi
    beforeAll(async () => {
      api = await start()
    }, 120_000)
    afterAll(() => api?.close())
    routeConformance(() => api)
    exchangeConformance(() => api)
    streamConformance(() => api)
  })
}
