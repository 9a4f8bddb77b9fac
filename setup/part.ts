/**
 * A part of Porthole as a child process that is kept alive: API or agent. It says `ready` or `fatal` over its IPC channel; when it dies it is started
 * again, after a pause that doubles while it keeps dying. The kernel tells it to end when we are killed outright.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { Told } from './config.ts'
import { logFile } from './log-file.ts'

export interface PartOptions {
  /** For people: `API`. */
  name: string
  entry: string
  root: string
  /** Asked before every launch. */
  environment(): NodeJS.ProcessEnv | Promise<NodeJS.ProcessEnv>
  /** File for all that it writes; absent: our own output. */
  log?: string
  say(line: string): void
  /** Pauses before it is started again; false: it is not. Before its first `ready` it gets three tries, and none after `fatal`. */
  restart: { firstMs: number; mostMs: number } | false
}

const Message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), url: z.string().optional() }),
  z.object({ type: z.literal('fatal'), message: z.string() }),
])

export interface Part {
  /** The first `ready`. Rejects with `Told` when the part ends before that. */
  ready: Promise<{ url: string | undefined }>
  /** Resolves with the exit code once it has ended and will not be started again. */
  ended: Promise<number>
  /** Asks it to end, and kills it when it has not after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

interface Life {
  code: number
  signal: NodeJS.Signals | null
  /** A sentence for people, where there is one. */
  fault?: string | undefined
}

/** Longer than this in one piece, and the next death is a first one again. */
const steadyMs = 30_000

export function startPart(options: PartOptions): Part {
  const { name, say } = options
  const stopping = new AbortController()
  const ready = Promise.withResolvers<{ url: string | undefined }>()
  ready.promise.catch(() => {})
  let child: ChildProcess | null = null

  const ended = keepAlive()
  return { ready: ready.promise, ended, stop }

  async function keepAlive(): Promise<number> {
    let wasReady = false
    for (let deaths = 0; ; ) {
      const began = performance.now()
      const life = await live(url => {
        wasReady = true
        ready.resolve({ url })
      })
      if (stopping.signal.aborted) return life.code
      deaths = performance.now() - began > steadyMs ? 1 : deaths + 1
      const hopeless = !wasReady && (life.fault !== undefined || deaths >= 3)
      const how = life.fault ?? `The ${name} ended ${life.signal ? `by ${life.signal}` : `with code ${life.code}`}`
      const where = options.log && !life.fault ? ` (its log: ${options.log})` : ''
      if (hopeless || options.restart === false) {
        ready.reject(new Told(how + where))
        return life.code
      }
      say(`${how}${where}; starting it again`)
      const pause = Math.min(options.restart.mostMs, options.restart.firstMs * 2 ** (deaths - 1))
      await delay(pause, undefined, { signal: stopping.signal }).catch(() => {})
      if (stopping.signal.aborted) return 0
    }
  }

  async function live(onReady: (url: string | undefined) => void): Promise<Life> {
    let environment: NodeJS.ProcessEnv
    try {
      environment = await options.environment()
    } catch (error) {
      return { code: 1, signal: null, fault: `The ${name} cannot be started: ${(error as Error).message}` }
    }
    if (stopping.signal.aborted) return { code: 0, signal: null }
    const line = [...deathSignal(), process.execPath, options.entry]
    const output = options.log ? 'pipe' : 'inherit'
    const started = spawn(line[0]!, line.slice(1), {
      cwd: options.root,
      env: environment,
      stdio: ['ignore', output, output, 'ipc'],
    })
    child = started
    let fault: string | undefined
    started.on('message', raw => {
      const message = Message.safeParse(raw)
      if (!message.success) return
      if (message.data.type === 'ready') onReady(message.data.url)
      else fault = message.data.message
    })
    if (options.log) {
      const log = logFile(options.log)
      log.on('error', error => say(`${options.log} cannot be written: ${error.message}`))
      started.stdout!.pipe(log, { end: false })
      started.stderr!.pipe(log, { end: false })
      started.once('close', () => log.end())
    }
    const [code, signal] = (await once(started, 'exit')) as [number | null, NodeJS.Signals | null]
    child = null
    return { code: code ?? 1, signal, fault }
  }

  async function stop(graceMs: number): Promise<void> {
    stopping.abort()
    ready.reject(new Told(`The ${name} was stopped`))
    child?.kill('SIGTERM')
    const timer = setTimeout(() => child?.kill('SIGKILL'), graceMs)
    await ended
    clearTimeout(timer)
  }
}

function deathSignal(): string[] {
  const setpriv = '/usr/bin/setpriv'
  try {
    accessSync(setpriv, constants.X_OK)
    return [setpriv, '--pdeathsig', 'TERM', '--']
  } catch {
    return []
  }
}
