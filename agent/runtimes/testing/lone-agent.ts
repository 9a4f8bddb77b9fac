/** A process that is nothing but a local runtime with sessions, to be killed: `node lone-agent.ts <dataDir> <sessions>`. Tells each step as a line. */
import { createLocalRuntime } from '../local/local-runtime.ts'
import { instanceName } from '../runtime.ts'
import { localSpec } from './local-lab.ts'
import { whenRunning } from './runtime-watching.ts'

const [dataDir, count] = process.argv.slice(2)
const runtime = await createLocalRuntime({ dataDir: dataDir! })
const { notes } = await runtime.capabilities()
process.stdout.write(`open ${notes.join('; ')}\n`)
for (let n = 0; n < Number(count); n++) {
  const session = `ses_lone${n}`
  const name = instanceName(session, 1)
  const starting = runtime.start(name, session, 1, localSpec({ display: { width: 800, height: 600 } }))
  process.stdout.write('begun\n')
  await starting
  await whenRunning(runtime, name)
  process.stdout.write('running\n')
}
