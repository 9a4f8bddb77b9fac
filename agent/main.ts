/**
 * The agent as a program: the only place with an environment, signals and an exit code. Started by `npm start` it tells its starter over IPC
 * `{type: 'ready'}` once the link works, or `{type: 'fatal', message}` with one line for a person.
 */
import { randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { runAgent } from './agent.ts'
import { systemClock } from './clock.ts'
import { type AgentConfig, ConfigError, readConfig } from './config.ts'
import { serveHealth } from './health.ts'
import { EnrolError } from './identity.ts'
import { createLog, whatFailed } from './log.ts'
import { withRecordings } from './recordings/recording-runtime.ts'
import type { OpenedRuntime } from './runtimes/opened-runtime.ts'
import { StateError } from './sessions/agent-memory.ts'
import { fileStore } from './sessions/state-file.ts'

const shutdownMs = 4_500
const log = createLog(line => process.stderr.write(line))

async function main(): Promise<number> {
  const config = readConfig(process.env)
  const stop = new AbortController()
  const stopOnce = () => {
    // A last resort: whatever hangs, the process does not outlive its welcome.
    setTimeout(() => process.exit(1), shutdownMs).unref()
    stop.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, stopOnce)
  process.once('disconnect', stopOnce)

  let linked = () => false
  // First of all: an agent that stands by, or waits for its cluster, is alive.
  const health = config.healthPort === null ? null : await serveHealth({ port: config.healthPort, ready: () => linked() })
  let opened: OpenedRuntime | null = null
  let endRecordings = async () => {}
  try {
    opened = await openRuntime(config, stop.signal)
    const { keyStore, stateStore, lost } = opened
    const { folder, maxBytes } = config.recordings
    const recording = folder === null ? null : await withRecordings(opened.runtime, { folder, maxBytes, clock: systemClock, log })
    endRecordings = recording?.end ?? endRecordings
    const runtime = recording?.runtime ?? opened.runtime
    const running = lost ? AbortSignal.any([stop.signal, lost]) : stop.signal
    const end = await runAgent(
      {
        ...config,
        version: packageJson.version,
        boot: randomUUID(),
        keyStore,
        stateStore,
        runtime,
        clock: systemClock,
        random: Math.random,
        fetch,
        log,
        ready: () => process.send?.({ type: 'ready' }),
        linkState: works => {
          linked = works
        },
      },
      running,
    )
    return end === 'gave up' || lost?.aborted ? 1 : 0
  } catch (error) {
    // Told to stop while it stood by.
    if (stop.signal.aborted && !opened) return 0
    throw error
  } finally {
    await health?.close()
    await endRecordings()
    await opened?.close()
  }
}

/** Only the runtime that is used is loaded: its packages need not even be there for the other. */
async function openRuntime(config: AgentConfig, signal: AbortSignal): Promise<OpenedRuntime> {
  const dataDir = resolve(config.dataDir)
  if (config.runtime === 'kubernetes') {
    const { openKubernetes } = await import('./runtimes/kubernetes/open-kubernetes.ts')
    return await openKubernetes({ environment: process.env, dataDir, clock: systemClock, random: Math.random, log }, signal)
  }
  const { createLocalRuntime } = await import('./runtimes/local/local-runtime.ts')
  const runtime = await createLocalRuntime({ dataDir })
  return {
    runtime,
    keyStore: fileStore(join(dataDir, 'key.json')),
    stateStore: fileStore(join(dataDir, 'state.json')),
    lost: null,
    close: () => runtime.close(),
  }
}

function fatal(error: unknown): number {
  const forPeople = [ConfigError, EnrolError, StateError].some(kind => error instanceof kind)
  const message = whatFailed(error)
  process.stderr.write(`${message}\n`)
  if (!forPeople && error instanceof Error) log.error('fatal', { stack: error.stack ?? '' })
  process.send?.({ type: 'fatal', message })
  return 1
}

process.exitCode = await main().catch(fatal)
if (process.connected) process.disconnect()
process.exit()
