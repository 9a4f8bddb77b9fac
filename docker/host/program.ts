/** One supervised program: found, started, and its end put into words. */
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { isAbsolute, join } from 'node:path'

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface Program {
  name: string
  pid: number
  child: ChildProcess
  exited: Promise<Exit>
}

const places = '/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/usr/games'

/** First of these names (or absolute paths) that can be executed. */
export function findProgram(names: string[], searchPath = places): string | null {
  for (const name of names) {
    const candidates = isAbsolute(name) ? [name] : searchPath.split(':').map(folder => join(folder, name))
    for (const path of candidates) {
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {}
    }
  }
  return null
}

export interface LaunchOptions {
  env: Record<string, string>
  cwd?: string
  /** Descriptors 1, 2, 3, …; default: what the host has, which is the session's log. */
  stdio?: ('inherit' | 'pipe' | 'ignore')[]
}

/** Resolves once the program runs; rejects with a sentence when it cannot be started. */
export async function launch(name: string, path: string, args: string[], options: LaunchOptions): Promise<Program> {
  const child = spawn(path, args, {
    env: options.env,
    cwd: options.cwd ?? '/',
    stdio: ['ignore', ...(options.stdio ?? ['inherit', 'inherit'])],
  })
  const exited = new Promise<Exit>(resolve => child.once('exit', (code, signal) => resolve({ code, signal })))
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', cause => reject(new Error(`${name} could not be started: ${cause.message}`)))
  })
  return { name, pid: child.pid!, child, exited }
}

const signalWords: Partial<Record<NodeJS.Signals, string>> = {
  SIGKILL: 'was killed (signal 9, perhaps out of memory)',
  SIGTERM: 'was told to end (signal 15)',
  SIGSEGV: 'crashed (segmentation fault)',
  SIGABRT: 'crashed (it gave up on an internal error)',
  SIGBUS: 'crashed (bus error, perhaps the disk or shared memory is full)',
  SIGILL: 'crashed (illegal instruction)',
  SIGTRAP: 'crashed (it stopped at an internal check)',
}

export function describeExit(name: string, { code, signal }: Exit): string {
  if (signal) return `${name} ${signalWords[signal] ?? `ended by ${signal}`}`
  if (code === 0) return `${name} was closed`
  return `${name} exited with code ${code}`
}
