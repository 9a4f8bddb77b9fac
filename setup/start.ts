/**
 * `npm start`: everything on this machine. Packages, database, dashboard files, API, local agent, in the order in which they need each other; then it
 * watches over them until Ctrl-C, and ends them in the opposite order.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { agentPart, apiPart } from './api-and-agent.ts'
import { readSetupConfig, type SetupConfig } from './config.ts'
import { openDatabaseServer } from './database.ts'
import { localJoinToken } from './enrolment.ts'
import { prepareMachine } from './machine.ts'
import { requirePort } from './port.ts'
import { type Ending, holdFolder, runProgram } from './program.ts'
import { ensureWarmPool } from './warm-pool.ts'
import { ensureWebAssets } from './web-assets.ts'

/** Time to end in, part after part; with the database's 1.5 s it stays below the five seconds that people were promised. */
const graceMs = { agent: 2200, api: 900 }
/** So long the lines that people wait for are held back for the agent. */
const agentPatienceMs = 20_000

await runProgram(async (say, signal, ending) => start(readSetupConfig(), say, signal, ending))

async function start(config: SetupConfig, say: (line: string) => void, signal: AbortSignal, ending: Ending): Promise<number> {
  const { root, dataDir } = config
  const agentDir = join(dataDir, 'agent')
  holdFolder(dataDir)
  holdFolder(agentDir)
  await requirePort(config.host, config.port)

  const machine = prepareMachine({ dataDir, say, signal })
  machine.catch(() => {})
  const [database] = await Promise.all([openDatabaseServer(config, say, signal), ensureWebAssets({ root, say, signal })])
  ending.add(() => database.stop())

  let { port } = config
  const api = apiPart({ config, say, databaseUrl: database.localUrl, port: () => port, restart: true })
  ending.add(() => api.stop(graceMs.api))
  const { url: answered } = await api.ready
  const url = reachable(answered ?? `http://${config.host}:${port}`)
  port = Number(new URL(url).port)
  const adminToken = (await readFile(join(dataDir, 'admin-token'), 'utf8')).trim()

  const canRun = await machine
  if (canRun) {
    const environment = async () => ({
      PORTHOLE_URL: url,
      PORTHOLE_RUNTIME: 'local',
      PORTHOLE_JOIN_TOKEN: (await localJoinToken({ url, adminToken, agentDir })) ?? undefined,
      DATA_DIR: agentDir,
    })
    const agent = agentPart({ config, say, environment, restart: true })
    ending.add(() => agent.stop(graceMs.agent))
    await Promise.race([agent.ready, delay(agentPatienceMs, null, { signal })]).then(
      first => first === null && say('The agent of this machine is not connected yet'),
      error => say(`No sessions on this machine: ${error.message}`),
    )
  }

  signal.throwIfAborted()
  process.stdout.write(`Porthole ${config.publicUrl ?? url}\nToken ${adminToken}\n`)
  if (!canRun) say('Without them, sessions run only in clusters that you add')
  say(`State and logs are in ${dataDir}. Ctrl-C ends everything.`)
  if (canRun)
    ensureWarmPool({ url, adminToken, dataDir, size: config.warmPool }).catch(error =>
      say(`No browser is kept warm: ${error.message}`),
    )
  await Promise.race([database.lost, api.ended])
  return 1
}

/** An address that listens everywhere is reached by its own machine as 127.0.0.1. */
function reachable(address: string): string {
  const url = new URL(address)
  if (url.hostname === '0.0.0.0' || url.hostname === '[::]') url.hostname = '127.0.0.1'
  return url.origin
}
