/** `npm run agent`: the agent alone; it says itself which of its settings are missing. */
import { join } from 'node:path'
import { agentPart } from './api-and-agent.ts'
import { readSetupConfig } from './config.ts'
import { prepareMachine } from './machine.ts'
import { holdFolder, runProgram } from './program.ts'

await runProgram(async (say, signal, ending) => {
  const config = readSetupConfig()
  const agentDir = join(config.dataDir, 'agent')
  holdFolder(agentDir)
  if (config.environment.PORTHOLE_RUNTIME === 'local' && !(await prepareMachine({ dataDir: config.dataDir, say, signal })))
    return 1
  const agent = agentPart({ config, say, restart: false, environment: async () => ({ DATA_DIR: agentDir }) })
  ending.add(() => agent.stop(4000))
  return await agent.ended
})
