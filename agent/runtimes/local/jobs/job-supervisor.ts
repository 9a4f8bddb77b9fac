/**
 * One process per attempt that outlives the agent: it runs the job's program behind its walls, keeps its output, ends it at its deadline or when
 * told, and writes down how it went. `node job-supervisor.ts <folder>`, its order as JSON on stdin; says `begun` or `taken` on stdout once.
 * Without an agent for `orphanMs` it ends the job: nobody would ever fetch the result.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { JobCause } from '#protocol/job-spec.ts'
import { birthOf } from '../runtime-folder.ts'
import { mapIds } from './id-map.ts'
import { isAlive, JobFolder, type JobState } from './job-folder.ts'
import { killAll, privateBytes, tell } from './process-tree.ts'
import { SpoolWriter } from './spool-writer.ts'

export interface SupervisorOrder {
  /** Its first word is the program; output and errors come in one stream. */
  command: string[]
  env: Record<string, string>
  walls: 'bubblewrap' | 'plain'
  /** The user that is this job's alone; null: it shares the agent's. */
  ownUid: number | null
  /** First of the numbers that it gets as its users; null: it needs none. Then it waits for `go` on stdin. */
  firstId: number | null
  timeoutMs: number
  graceMs: number
  /** What all of it together may take; null: as much as there is. */
  memoryBytes: number | null
  /** Where the agent says who it is. */
  agentFile: string
  orphanMs: number
}

const agentLookMs = 2_000
const memoryLookMs = 500
/** Beyond this much output it may write so many bytes a second: a flood must not wear the disk out. */
const freeOutput = 16 * 2 ** 20
const floodRate = 16 * 2 ** 20
/** The kernel has this long to end what was killed. */
const killMs = 5_000

class Supervision {
  private readonly folder: JobFolder
  private readonly order: SupervisorOrder
  private readonly spool: SpoolWriter
  private readonly timers = new Set<NodeJS.Timeout>()
  private readonly startedAt = Date.now()
  private child!: ChildProcess
  private ending: JobCause | null = null
  private agentSeen = performance.now()

  constructor(folder: JobFolder, order: SupervisorOrder) {
    this.folder = folder
    this.order = order
    this.spool = new SpoolWriter(folder.log)
  }

  async run(): Promise<void> {
    const { command, env, timeoutMs, graceMs } = this.order
    this.folder.putState({ ...this.blank(), startedAt: this.startedAt })
    const [program, ...args] = command
    const stdin = this.order.firstId === null ? 'ignore' : 'pipe'
    this.child = spawn(program!, args, { cwd: '/', env, stdio: [stdin, 'pipe', 'ignore'], detached: true })
    this.letGo()
    const failed = new Promise<Error>(resolve => this.child.once('error', resolve))
    const closed = new Promise<null>(resolve => this.child.once('close', () => resolve(null)))
    this.keepOutput()
    this.after(timeoutMs, () => this.end('deadline', graceMs))
    this.watchAgent()
    this.watchMemory()
    process.on('SIGTERM', () => this.ordered())
    // Told to end before it could listen.
    this.ordered()
    const fault = await Promise.race([failed, closed])
    for (const timer of this.timers) clearTimeout(timer)
    // What left its process group behind plain walls.
    if (this.child.pid && this.order.walls === 'plain') killAll(this.child.pid, 'plain', this.order.ownUid)
    this.spool.close()
    this.folder.putState({ startedAt: this.startedAt, endedAt: Date.now(), ...this.outcome(fault) })
    await rm(this.folder.place, { recursive: true, force: true }).catch(() => {})
  }

  private letGo(): void {
    const { firstId } = this.order
    const { stdin, pid } = this.child
    if (firstId === null || !pid || !stdin) return
    stdin.on('error', () => {})
    mapIds(pid, firstId).then(
      () => stdin.end('go\n'),
      // It reads no word, and ends.
      () => stdin.end(),
    )
  }

  private blank(): JobState {
    return { startedAt: null, endedAt: null, exitCode: null, cause: null, reason: null }
  }

  private ordered(): void {
    const order = this.folder.endOrder()
    if (order) this.end(order.cause, order.graceMs)
  }

  private end(cause: JobCause, graceMs: number): void {
    if (this.ending) return
    this.ending = cause
    const { pid } = this.child
    if (!pid) return
    const { walls, ownUid } = this.order
    tell(pid, walls)
    this.after(graceMs, () => {
      killAll(pid, walls, ownUid)
      this.after(killMs, () => this.child.stdout!.destroy())
    })
  }

  /** Reads no faster than it may write; the pipe then holds the program back. */
  private keepOutput(): void {
    const output = this.child.stdout!
    let credit = freeOutput
    let at = performance.now()
    output.on('error', () => {})
    output.on('data', (chunk: Buffer) => {
      this.spool.write(chunk)
      const now = performance.now()
      credit = Math.min(freeOutput, credit + ((now - at) / 1000) * floodRate) - chunk.length
      at = now
      if (credit >= 0) return
      output.pause()
      this.after((-credit / floodRate) * 1000 + 10, () => output.resume())
    })
    // A child that left its output open to a process outside would never close it.
    this.child.once('exit', () => this.after(killMs, () => output.destroy()))
  }

  private watchAgent(): void {
    this.after(agentLookMs, () => {
      const now = performance.now()
      if (agentLives(this.order.agentFile)) this.agentSeen = now
      else if (now - this.agentSeen > this.order.orphanMs) this.end('agent_stopped', this.order.graceMs)
      this.watchAgent()
    })
  }

  /** There need not be a cgroup that we may write: what its processes alone hold is added up, and all of them end when it is too much. */
  private watchMemory(): void {
    const { memoryBytes } = this.order
    if (memoryBytes === null) return
    this.after(memoryLookMs, () => {
      if (this.child.pid && privateBytes(this.child.pid) > memoryBytes) this.end('out_of_memory', 0)
      this.watchMemory()
    })
  }

  private outcome(fault: Error | null): Omit<JobState, 'startedAt' | 'endedAt'> {
    const { exitCode, signalCode } = this.child
    if (fault) return { exitCode: null, cause: 'start', reason: `Its sandbox could not be started: ${fault.message}` }
    // Init and sandbox pass a signal on as 128 + its number.
    const signal = signalCode ?? (exitCode !== null && exitCode > 128 && exitCode < 160 ? exitCode - 128 : null)
    if (this.ending) return { exitCode, cause: this.ending, reason: this.endedBy(this.ending) }
    if (signal !== null)
      return {
        exitCode,
        cause: 'signal',
        reason: `It was ended by signal ${signal}${signal === 9 ? ', perhaps out of memory' : ''}.`,
      }
    return { exitCode, cause: 'exit', reason: exitCode === 0 ? 'It succeeded.' : `It ended with exit code ${exitCode}.` }
  }

  private endedBy(cause: JobCause): string {
    if (cause === 'deadline') return `It ran longer than its ${Math.round(this.order.timeoutMs / 1000)} s.`
    if (cause === 'out_of_memory') return `It took more memory than its ${Math.round(this.order.memoryBytes! / 2 ** 20)} MiB.`
    if (cause === 'agent_stopped') return 'The agent of its machine was stopped.'
    return 'It was canceled.'
  }

  private after(ms: number, run: () => void): void {
    const timer = setTimeout(
      () => {
        this.timers.delete(timer)
        run()
      },
      Math.min(ms, 2 ** 31 - 1),
    )
    this.timers.add(timer)
  }
}

function agentLives(file: string): boolean {
  try {
    return isAlive(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return false
  }
}

const folder = new JobFolder(process.argv[2]!)
// Only orders in the folder end it: the terminal's Ctrl-C is for the agent, which then gives them.
for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) process.on(signal, () => {})
const order = JSON.parse(await text(process.stdin)) as SupervisorOrder
process.stdout.on('error', () => {})
const mine = folder.own({ uid: randomUUID(), pid: process.pid, born: birthOf(process.pid) })
if (mine) {
  const supervision = new Supervision(folder, order)
  const running = supervision.run()
  process.stdout.write('begun\n')
  await running
} else {
  process.stdout.write('taken\n')
}
process.exit(0)
