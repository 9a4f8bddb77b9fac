/** `npm run api`: the API alone, with an embedded database unless DATABASE_URL names one. */
import { apiPart } from './api-and-agent.ts'
import { readSetupConfig } from './config.ts'
import { openDatabaseServer } from './database.ts'
import { requirePort } from './port.ts'
import { holdFolder, runProgram } from './program.ts'
import { ensureWebAssets } from './web-assets.ts'

await runProgram(async (say, signal, ending) => {
  const config = readSetupConfig()
  holdFolder(config.dataDir)
  await requirePort(config.host, config.port)
  const [database] = await Promise.all([
    openDatabaseServer(config, say, signal),
    ensureWebAssets({ root: config.root, say, signal }),
  ])
  ending.add(() => database.stop())
  const api = apiPart({ config, say, databaseUrl: database.localUrl, port: () => config.port, restart: false })
  ending.add(() => api.stop(3000))
  const { url } = await api.ready
  say(`API ${url}`)
  return await Promise.race([api.ended, database.lost.then(() => 1)])
})
