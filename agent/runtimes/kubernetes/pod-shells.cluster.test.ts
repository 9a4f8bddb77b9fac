/** Shells in real pods, with exactly the rights that the chart grants. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '#agent/clock.ts'
import { createLog } from '#agent/log.ts'
import { aSpec } from '#agent/testing/session-fixtures.ts'
import { type SessionsNamespace, sessionsNamespace } from '../../../deploy/testing/sessions-namespace.ts'
import { instanceName } from '../runtime.ts'
import { exerciseShells, ShellReader } from '../shell-conformance.ts'
import { whenRunning } from '../testing/runtime-watching.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from './kubernetes-runtime.ts'
import { kubernetesSettings } from './settings.ts'

describe('shells in pods', () => {
  let place: SessionsNamespace
  let runtime: KubernetesRuntime
  const session = 'ses_shells'
  beforeAll(async () => {
    place = await sessionsNamespace()
    runtime = await createKubernetesRuntime({
      settings: { ...kubernetesSettings(place.environment), selfTest: 'off' },
      config: place.config,
      inCluster: false,
      clock: systemClock,
      random: Math.random,
      log: createLog(() => {}),
    })
    const spec = aSpec({ headless: true, limits: { memory_bytes: 1024 * 2 ** 20 }, env: { CITY: "St. John's" } })
    await runtime.start(instanceName(session, 1), session, 1, spec)
    await whenRunning(runtime, instanceName(session, 1))
  })
  afterAll(async () => {
    await runtime?.close()
    await place?.dispose()
  })

  exerciseShells(() => ({ runtime, session }))

  test('it is offered where the operator gave the right to it', async () => {
    expect((await runtime.capabilities()).features).toContain('exec')
  })

  test('its environment is the session’s', async () => {
    const reader = new ShellReader(
      await runtime.exec(session, { terminal: 'trm_env', cols: 90, rows: 30 }, AbortSignal.timeout(120_000)),
    )
    await reader.ask('echo "[$CITY] $HOME"', /\[St\. John's\] \/home\/porthole/)
    await reader.shell.end()
  })

  test('a container that is not there is refused', async () => {
    const order = { terminal: 'trm_none', cols: 80, rows: 24, container: 'nope' }
    await expect(runtime.exec(session, order, AbortSignal.timeout(120_000))).rejects.toMatchObject({ status: 404 })
  })
})
