/** Child programs of a measurement: begun, asked, weighed and ended by their pid. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const ticksPerSecond = 100

export class Part {
  readonly pid: number
  private readonly child: ChildProcess
  private constructor(child: ChildProcess) {
    this.child = child
    this.pid = child.pid!
  }

  /** Resolves with the first message it sends: it is ready. */
  static async begin<T>(file: string, args: string[] = [], env: Record<string, string> = {}): Promise<{ part: Part; ready: T }> {
    const child = spawn(process.execPath, ['--expose-gc', join(root, file), ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    let said = ''
    child.stderr!.on('data', chunk => (said = (said + chunk).slice(-4_000)))
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`${file} ended with ${code}: ${said}`)
    })
    ended.catch(() => {})
    const [ready] = (await Promise.race([once(child, 'message'), ended])) as [T]
    return { part: new Part(child), ready }
  }

  /** CPU seconds so far. */
  cpu(): number {
    return cpuOf(this.pid)
  }

  ask<T>(message: object): Promise<T> {
    const answer = once(this.child, 'message').then(([value]) => value as T)
    this.child.send(message)
    return answer
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGTERM')
    const late = setTimeout(() => this.child.kill('SIGKILL'), 6_000)
    await gone
    clearTimeout(late)
  }
}

export function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Resident bytes. */
export function memoryOf(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}
