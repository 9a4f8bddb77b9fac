/** One living session: the process tree behind its walls, what its host says of it, and its end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { HostDoor } from '../host-door.ts'
import { type HostStatus, readHostStatus } from '../host-status.ts'
import type { Instance } from '../runtime.ts'
import { connectGuarded } from './guarded-socket.ts'
import { notifyFd } from './host-settings.ts'
import type { SessionLog } from './session-log.ts'

export interface LocalSessionParts {
  instance: Pick<Instance, 'session' | 'generation' | 'name' | 'uid'>
  /** Its first word is the program. */
  command: string[]
  env: Record<string, string>
  /** The machine's path of the folder with its sockets, and the user who owns them. */
  scratch: string
  owner: number
  log: SessionLog
  now: () => number
  changed: () => void
  /** Called when nothing of it runs any more, before it is said to have ended. */
  cleanUp: () => Promise<void>
}

/** More waiting log than this pauses the session's output. */
const logBacklog = 2 ** 20
/** A status line longer than this is not from our host. */
const longestLine = 65_536
/** Past the grace: for the host's own clean-up, then for the kernel's. */
const hostMargin = 1_500

export class LocalSession implements HostDoor {
  /** Resolves when nothing of it runs and its room is cleaned. */
  readonly gone: Promise<void>
  private readonly parts: LocalSessionParts
  private readonly child: ChildProcess
  private status: HostStatus | null = null
  private begun: number
  private phase: Instance['phase'] = 'starting'
  private end: { cause: 'failed' | 'stopped'; reason: string } | null = null
  private lastWords = ''
  private stopping: Promise<void> | null = null

  private constructor(parts: LocalSessionParts, child: ChildProcess) {
    this.parts = parts
    this.child = child
    this.begun = parts.now()
    this.hear(child.stdout!)
    this.hear(child.stderr!)
    this.listen(child.stdio[notifyFd] as Readable)
    child.stdin!.on('error', () => {})
    this.gone = new Promise(resolve => child.once('close', resolve)).then(() => this.ended())
  }

  /** Resolves once the process exists. */
  static async spawn(parts: LocalSessionParts): Promise<LocalSession> {
    const [program, ...args] = parts.command
    const child = spawn(program!, args, { cwd: '/', env: parts.env, stdio: ['pipe', 'pipe', 'pipe', 'pipe'], detached: true })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', cause => reject(new Error(`the session's sandbox could not be started: ${cause.message}`)))
    })
    return new LocalSession(parts, child)
  }

  instance(): Instance {
    const { status } = this
    const reason = this.end?.reason ?? (this.phase === 'starting' ? status?.reason : null)
    return {
      ...this.parts.instance,
      phase: this.phase,
      ...(reason && { reason }),
      ...(this.end && { cause: this.end.cause }),
      phases: [{ phase: 'spawned', at: this.begun }, ...(status?.phases ?? [])],
      activeAt: status?.active_at ?? null,
      display: this.phase === 'ended' ? null : (status?.display ?? null),
      versions: status?.versions ?? {},
      notes: status?.notes ?? [],
      pod: null,
    }
  }

  connect() {
    return connectGuarded(join(this.parts.scratch, 'host.sock'), this.parts.owner)
  }

  connectScreen() {
    return connectGuarded(join(this.parts.scratch, 'rfb.sock'), this.parts.owner)
  }

  /** The end of stdin is the order; the grace travels on it. What does not obey is killed. */
  stop(graceMs: number): Promise<void> {
    this.stopping ??= this.bringDown(graceMs)
    return this.stopping
  }

  private async bringDown(graceMs: number): Promise<void> {
    if (this.phase !== 'ended') this.moveTo('stopping')
    const stdin = this.child.stdin as Writable
    stdin.end(`{"grace_ms":${Math.round(graceMs)}}\n`)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), graceMs + hostMargin)
    try {
      await this.gone
    } finally {
      clearTimeout(timer)
    }
  }

  private hear(stream: Readable): void {
    stream.on('data', (chunk: Buffer) => {
      const { log } = this.parts
      this.lastWords = (this.lastWords + chunk.toString('utf8')).slice(-4_000)
      const written = log.append(chunk)
      if (log.backlog <= logBacklog) return
      stream.pause()
      written.finally(() => stream.resume())
    })
    stream.on('error', () => {})
  }

  private listen(stream: Readable): void {
    let text = ''
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      const lines = text.split('\n')
      text = lines.pop()!.slice(-longestLine)
      for (const line of lines) {
        const status = readHostStatus(line)
        if (status) this.hearStatus(status)
      }
    })
  }

  private hearStatus(status: HostStatus): void {
    this.status = status
    if (this.phase === 'starting' && status.state === 'ready') this.phase = 'running'
    else if (this.phase === 'running' && status.state === 'starting') this.phase = 'starting'
    else if (this.phase !== 'ended' && status.state === 'ending') this.phase = 'stopping'
    this.parts.changed()
  }

  private async ended(): Promise<void> {
    await this.parts.cleanUp()
    const { status } = this
    if (status?.state === 'ending' && status.cause && status.reason) this.end = { cause: status.cause, reason: status.reason }
    else if (this.stopping) this.end = { cause: 'stopped', reason: 'The session was ended' }
    else this.end = { cause: 'failed', reason: this.whyEnded() }
    void this.parts.log.append(Buffer.from(`--- ${this.parts.instance.name}: ${this.end.reason}\n`))
    this.moveTo('ended')
  }

  private whyEnded(): string {
    const { exitCode, signalCode } = this.child
    const sandbox = /^bwrap: .*$/m.exec(this.lastWords)
    if (sandbox) return `The session's sandbox could not be made (${sandbox[0]})`
    // Init and sandbox pass a signal on as 128 + its number.
    const signal = exitCode !== null && exitCode > 128 ? `signal ${exitCode - 128}` : signalCode
    if (signal)
      return `The session's host program was killed (${signal}${signal === 'signal 9' ? ', perhaps out of memory' : ''})`
    const fault = this.lastWords.split('\n').findLast(line => /^(host: |\w*Error\b)/.test(line))
    return `The session's host program ended unexpectedly (exit code ${exitCode})${fault ? `: ${fault.slice(0, 300)}` : ''}`
  }

  private moveTo(phase: Instance['phase']): void {
    this.phase = phase
    this.parts.changed()
  }
}
