/**
 * `npm run dev:edge`: what `npm start` shows, with the API in workerd. Database, Worker, local agent; the Worker is bundled anew at every start. It
 * shares DATA_DIR with `npm start`: run one or the other.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { agentPart } from './api-and-agent.ts'
import { readSetupConfig, type SetupConfig, Told } from './config.ts'
import { openDatabaseServer } from './database.ts'
import { startWorkerd, type Workerd } from './edge/workerd.ts'
import { localJoinToken } from './enrolment.ts'
import { logFile } from './log-file.ts'
import { prepareMachine } from './machine.ts'
import { freePort, requirePort } from './port.ts'
import { type Ending, holdFolder, runProgram } from './program.ts'
import { ensureWebAssets } from './web-assets.ts'

const graceMs = { agent: 2200 }
const agentPatienceMs = 20_000
const cronMs = 60_000

await runProgram(async (say, signal, ending) => start(readSetupConfig(), say, signal, ending))

async function start(config: SetupConfig, say: (line: string) => void, signal: AbortSignal, ending: Ending): Promise<number> {
  const { root, dataDir, host } = config
  const agentDir = join(dataDir, 'agent')
  holdFolder(dataDir)
  holdFolder(agentDir)
  await requirePort(host, config.port)
  const port = config.port || (await freePort(host))

  const machine = prepareMachine({ dataDir, say, signal })
  machine.catch(() => {})
  const [database] = await Promise.all([openDatabaseServer(config, say, signal), ensureWebAssets({ root, say, signal })])
  ending.add(() => database.stop())
  await prepareDatabase(config, database.url)
  const kept = async (file: string) => (await readFile(join(dataDir, file), 'utf8')).trim()
  const adminToken = await kept('admin-token')

  const url = `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`
  const log = logFile(join(dataDir, 'edge.log'))
  const workerd = await startWorkerd({
    root,
    databaseUrl: database.url,
    host,
    port,
    vars: {
      PUBLIC_URL: config.publicUrl ?? url,
      SECRETS_KEY: config.environment.SECRETS_KEY ?? (await kept('secrets-key')),
      ALLOWED_ORIGINS: config.environment.ALLOWED_ORIGINS ?? '',
    },
    log: line => log.write(`${line}\n`),
  })
  ending.add(() => workerd.stop())
  const cron = setInterval(() => everyMinute(workerd, say), cronMs)
  ending.add(async () => clearInterval(cron))

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
  say(
    `In workerd. State and logs are in ${dataDir}. Ctrl-C ends everything; kill -USR2 ${process.pid} is a release: the Worker anew, every socket dropped.`,
  )
  const release = () => void workerd.release().catch(error => say(`The release failed: ${error.message}`))
  process.on('SIGUSR2', release)
  ending.add(async () => void process.off('SIGUSR2', release))
  await database.lost
  return 1
}

async function prepareDatabase({ root, dataDir, environment }: SetupConfig, databaseUrl: string): Promise<void> {
  const env = { ...environment, DATABASE_URL: databaseUrl, DATA_DIR: dataDir }
  await promisify(execFile)(process.execPath, [join(root, 'api/node/prepare/main.ts')], { cwd: root, env }).catch(error => {
    throw new Told(`The database cannot be prepared: ${String(error.stderr || error.message).trim()}`)
  })
}

function everyMinute(workerd: Workerd, say: (line: string) => void): void {
  workerd.scheduled().catch(error => say(`The minute's work failed: ${error.message}`))
}
