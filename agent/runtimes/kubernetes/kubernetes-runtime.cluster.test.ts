/** The conformance suite with real pods, as the agent's own ServiceAccount from outside the cluster. */
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { aSpec } from '#agent/testing/session-fixtures.ts'
import { sessionsNamespace } from '../../../deploy/testing/sessions-namespace.ts'
import { exerciseRuntime } from '../runtime-conformance.ts'
import { createKubernetesRuntime } from './kubernetes-runtime.ts'
import { kubernetesSettings } from './settings.ts'

const browser = aSpec({ display: { width: 1024, height: 700 }, start_url_wait: 'load', limits: { memory_bytes: 1536 * 2 ** 20 } })

exerciseRuntime(
  'kubernetes',
  async () => {
    const place = await sessionsNamespace()
    const lines: string[] = []
    const open = () =>
      createKubernetesRuntime({
        settings: kubernetesSettings(place.environment),
        config: place.config,
        inCluster: false,
        clock: systemClock,
        random: Math.random,
        log: createLog(line => lines.push(line)),
      })
    let runtime = await open()
    return {
      runtime,
      async nextLife() {
        await runtime.close()
        runtime = await open()
        return runtime
      },
      async dispose() {
        await runtime.close()
        await place.dispose()
      },
    }
  },
  { browser, headless: { ...browser, headless: true }, outlivesAgent: true },
)
