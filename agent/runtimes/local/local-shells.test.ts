/** Shells inside a real sandbox. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { instanceName, type Runtime } from '../runtime.ts'
import { exerciseShells, ShellReader } from '../shell-conformance.ts'
import { expectNoneLeft } from '../testing/left-over.ts'
import { type LocalLab, localLab, localSpec } from '../testing/local-lab.ts'
import { whenRunning } from '../testing/runtime-watching.ts'

describe('shells of the local runtime', { timeout: 60_000 }, () => {
  let lab: LocalLab
  let runtime: Runtime
  const session = 'ses_shells'
  beforeAll(async () => {
    lab = await localLab()
    runtime = lab.runtime
    await runtime.start(
      instanceName(session, 1),
      session,
      1,
      localSpec({ kind: 'app', command: ['sleep', '600'], env: { CITY: 'Bern' } }),
    )
    await whenRunning(runtime, instanceName(session, 1))
  }, 60_000)
  afterAll(() => lab?.dispose(), 30_000)

  exerciseShells(() => ({ runtime, session }))

  test('what is typed after a new size finds that size', async () => {
    const reader = new ShellReader(
      await runtime.exec!(session, { terminal: 'trm_size', cols: 80, rows: 24 }, AbortSignal.timeout(30_000)),
    )
    for (let cols = 90; cols < 100; cols++) {
      reader.shell.resize(cols, 33)
      await reader.ask(`echo "$(stty size)" si""ze`, new RegExp(`33 ${cols} size`))
    }
    await reader.shell.end()
  })

  test('it is inside the session: its environment, its user, its walls, its display', async () => {
    const reader = new ShellReader(
      await runtime.exec!(session, { terminal: 'trm_in', cols: 200, rows: 30 }, AbortSignal.timeout(10_000)),
    )
    await reader.ask('echo "[$CITY $DISPLAY $(ls / | tr "\\n" " ")]"', /\[Bern :\d+ .*usr.*\]/)
    const [, user] = await reader.ask('echo "uid=$(id -u)."', /uid=(\d+)\./)
    if (process.getuid!() === 0) expect(user).not.toBe('0')
    await reader.ask(`ls ${lab.dataDir}; echo do""ne`, /No such file[\s\S]*done/)
    // The session's end is the shell's.
    const [instance] = await runtime.observe()
    await runtime.stop(instance!.name, instance!.uid, 0)
    expect((await reader.shell.ended).exitCode).toBeNull()
    await expectNoneLeft(lab.dataDir)
  })
})
