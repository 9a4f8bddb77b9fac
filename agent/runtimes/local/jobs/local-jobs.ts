/**
 * `run` jobs and builds as sandboxed processes, in the same walls as sessions. Unlike sessions they outlive the agent's death: each has a supervisor of its
 * own (job-supervisor.ts) that writes down how it goes, so the next agent finds it running, or its end. What they know of each other is in the
 * attempt's folder (job-folder.ts).
 */
import { spawn } from 'node:child_process'
import { createWriteStream, type FSWatcher, watch } from 'node:fs'
import { lstat, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { attemptName, type JobType, type RunSpec } from '#protocol/job-spec.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { buildAsRun, buildReason, defaultGitSchemes } from '../../build-script.ts'
import {
  type BuildContext,
  type JobAttempt,
  type JobInstance,
  JobRefused,
  type JobRuntime,
  type LogPiece,
  type LogPosition,
} from '../../job-runtime.ts'
import { DialError, type Shell, type ShellOrder } from '../../runtime.ts'
import type { LocalMachine } from '../local-machine.ts'
import { birthOf } from '../runtime-folder.ts'
import type { SessionHome } from '../session-folders.ts'
import { buildResult } from './build-result.ts'
import { contextInside } from './build-walls.ts'
import { entryFile, furnished, writeEntry } from './job-entry.ts'
import { isAlive, JobFolder } from './job-folder.ts'
import { jobShell } from './job-shell.ts'
import type { SupervisorOrder } from './job-supervisor.ts'
import { endLeftovers, jobMark } from './lost-job.ts'
import { firstInside } from './process-tree.ts'
import { readSpool } from './spool-reader.ts'

export interface LocalJobsOptions {
  capacity?: number
  /** How long a job goes on without an agent. */
  orphanMs?: number
  /** Of sources that are built; default https and ssh. */
  gitSchemes?: readonly string[]
}

const supervisorProgram = resolve(import.meta.dirname, 'job-supervisor.ts')
const safeName = /^job-[0-9a-z]{1,64}-a\d{1,6}$/
const logPollMs = 200
const closeGraceMs = 1_500
const closeWaitMs = 3_000
/** For what nobody tells: a supervisor that was killed. */
const lookMs = 2_000

export class LocalJobs implements JobRuntime {
  private readonly machine: LocalMachine
  private readonly options: LocalJobsOptions
  private readonly watchers = new Set<() => void>()
  private readonly folderWatches = new Map<string, FSWatcher>()
  private readonly beginning = new Map<string, Promise<void>>()
  private readonly opened: Promise<void>
  private readonly looking: NodeJS.Timeout
  /** Lost ones, and whether what their supervisors left is gone. */
  private readonly lost = new Map<string, 'ending' | 'gone'>()
  private living = 0

  constructor(machine: LocalMachine, options: LocalJobsOptions = {}) {
    this.machine = machine
    this.options = options
    this.opened = this.open()
    this.opened.catch(() => {})
    this.looking = setInterval(() => this.living > 0 && this.wake(), lookMs)
    this.looking.unref()
  }

  async capabilities(): Promise<{ types: JobType[]; capacity: number }> {
    return {
      types: this.machine.builds ? ['run', 'build'] : ['run'],
      capacity: this.options.capacity ?? Math.max(2, Math.min(16, availableParallelism() * 2)),
    }
  }

  async observe(): Promise<JobInstance[]> {
    await this.opened
    const names = (await readdir(this.root)).filter(name => safeName.test(name))
    const found = (await Promise.all(names.map(name => this.look(name)))).filter(each => each !== null)
    this.living = found.filter(each => each.phase !== 'ended').length
    return found
  }

  watch(wake: () => void): () => void {
    this.watchers.add(wake)
    return () => this.watchers.delete(wake)
  }

  start(attempt: JobAttempt): Promise<void> {
    const known = this.beginning.get(attempt.name)
    if (known) return known
    const begun = this.begin(attempt).finally(() => this.beginning.delete(attempt.name))
    this.beginning.set(attempt.name, begun)
    return begun
  }

  async cancel(name: string, uid: string, graceMs: number): Promise<void> {
    await this.end(name, uid, { graceMs, cause: 'canceled' })
  }

  async remove(name: string, uid: string): Promise<void> {
    const folder = this.folder(name)
    const owner = await folder.owner()
    if (owner?.uid !== uid) return
    if (isAlive(owner) && (await folder.state())?.endedAt === null) throw new Error(`${name} still runs`)
    this.unwatch(name)
    this.lost.delete(name)
    await this.machine.removeBuild(folder.build)
    await this.machine.folders.removeWithHome(folder.path, folder.home)
    this.wake()
  }

  async *logs(name: string, uid: string, stream: string, from: LogPosition, signal: AbortSignal): AsyncGenerator<LogPiece> {
    const folder = this.folder(name)
    const owner = await folder.owner()
    if (stream !== '' || owner?.uid !== uid) return
    yield* readSpool({
      folder: folder.log,
      offset: from.offset,
      ended: async () => !isAlive(owner) || (await folder.state())?.endedAt != null,
      more: async signal => {
        await delay(logPollMs, undefined, { signal }).catch(() => {})
      },
      signal,
    })
  }

  async exec(job: string, { attempt }: TerminalJob, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
    const name = attemptName(job, attempt)
    const folder = this.folder(name)
    const programs = this.machine.terminalPrograms
    if (!programs) throw new DialError(501, 'unsupported', 'this machine has no terminals in jobs')
    if (order.pod !== undefined || order.container !== undefined)
      throw new DialError(404, 'not_found', 'a job of this machine has no pods and no containers')
    const [owner, state, facts] = await Promise.all([folder.owner(), folder.state(), folder.facts()])
    if (facts?.type === 'build') throw new DialError(501, 'unsupported', 'a build of this machine cannot be entered')
    await furnished(folder, signal)
    const runs = owner && isAlive(owner) && state?.startedAt && state.endedAt === null
    const way = runs ? this.machine.wayInto(firstInside(owner.pid), (await lstat(folder.home)).uid) : null
    if (!way) throw new DialError(503, 'target_gone', 'the job does not run')
    return await jobShell({ way, programs, mark: `${jobMark}=${name}`, env: this.machine.outerEnv }, order, signal)
  }

  /** The agent ends in good order, and its jobs with it: nothing is left behind. */
  async close(): Promise<void> {
    clearInterval(this.looking)
    await Promise.allSettled(this.beginning.values())
    const live = (await this.observe().catch(() => [])).filter(each => each.phase !== 'ended')
    await Promise.all(live.map(each => this.end(each.name, each.uid, { graceMs: closeGraceMs, cause: 'agent_stopped' })))
    const until = performance.now() + closeWaitMs
    for (;;) {
      const left = (await this.observe().catch(() => [])).filter(each => each.phase !== 'ended')
      if (left.length === 0 || performance.now() > until) break
      await delay(50)
    }
    for (const name of [...this.folderWatches.keys()]) this.unwatch(name)
  }

  private get root(): string {
    return this.machine.folders.jobs
  }

  private get agentFile(): string {
    return join(this.root, 'agent.json')
  }

  private async open(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 })
    const draft = `${this.agentFile}.${process.pid}`
    await writeFile(draft, JSON.stringify({ pid: process.pid, born: birthOf(process.pid) }), { mode: 0o600 })
    await rename(draft, this.agentFile)
  }

  private folder(name: string): JobFolder {
    if (!safeName.test(name)) throw new Error(`"${name}" is no attempt`)
    return new JobFolder(join(this.root, name))
  }

  /** null: not begun. What no supervisor took is not there yet, and `start` begins it. */
  private async look(name: string): Promise<JobInstance | null> {
    const folder = this.folder(name)
    const [facts, owner] = await Promise.all([folder.facts(), folder.owner()])
    if (!facts || !owner) return null
    this.watchFolder(name)
    const lives = isAlive(owner)
    const state = await folder.state()
    const over = state?.endedAt != null
    const lost = !over && !lives
    if (lost) this.endLost(name, folder)
    const ending = lost && this.lost.get(name) !== 'gone'
    const cause = lost ? 'lost' : (state?.cause ?? null)
    const ended = over || (lost && !ending)
    const result = ended && facts.type === 'build' ? await buildResult(folder.build) : null
    const reason = lost
      ? 'Its supervisor was killed; nobody knows how it went.'
      : buildReason(result, cause, state?.reason ?? null)
    return {
      ...facts,
      name,
      uid: owner.uid,
      phase: ended ? 'ended' : !state ? 'starting' : ending || folder.endOrder() ? 'stopping' : 'running',
      ...(ended && {
        outcome: cause === 'canceled' ? 'canceled' : state?.cause === 'exit' && state.exitCode === 0 ? 'succeeded' : 'failed',
      }),
      ...(ended && cause && { cause }),
      exitCode: state?.exitCode ?? null,
      ...(reason && { reason }),
      startedAt: state?.startedAt ?? null,
      endedAt: state?.endedAt ?? null,
      progress: null,
      resources: [],
      result,
      ...(!ended && folder.awaitsContext() && { awaitsContext: true }),
      streams: [''],
    }
  }

  private endLost(name: string, folder: JobFolder): void {
    if (this.lost.has(name)) return
    this.lost.set(name, 'ending')
    void endLeftovers(name, folder.home).then(() => {
      if (this.lost.has(name)) this.lost.set(name, 'gone')
      this.wake()
    })
  }

  /** Written beside, then put in place: a build that sees it has all of it. */
  async deliver(name: string, uid: string, context: BuildContext, signal: AbortSignal): Promise<void> {
    const folder = this.folder(name)
    const [owner, waits] = [await folder.owner(), folder.awaitsContext()]
    if (owner?.uid !== uid || !waits) return
    const draft = join(folder.path, 'context.part')
    try {
      await pipeline(await context(signal), createWriteStream(draft, { mode: 0o644 }), { signal })
      const { size } = await lstat(draft)
      if (size !== waits.bytes) throw new Error(`${size} bytes came, of ${waits.bytes}`)
      await rename(draft, folder.context)
    } finally {
      await rm(draft, { force: true })
    }
    this.wake()
  }

  private async begin(attempt: JobAttempt): Promise<void> {
    await this.opened
    const { spec } = attempt
    const { spec: run, attempt: own } = this.asRun(attempt)
    if (!run.command?.[0]) throw new JobRefused('A machine without containers needs a command: the image is ignored here.')
    const folder = this.folder(attempt.name)
    if (await folder.owner()) return
    const { job, attempt: number, timeoutMs, graceMs } = attempt
    const sent = spec.type === 'build' ? (spec.source.upload ?? null) : null
    await folder.make({ job, attempt: number, type: spec.type, ...(sent && { contextBytes: sent.bytes }) })
    const home = await this.machine.folders.takeAt(folder.home)
    const mark = { [jobMark]: attempt.name }
    const room = spec.type === 'build' ? await this.buildRoom(folder, home.uid, mark) : await this.runRoom(folder, home, mark)
    await writeEntry(join(room.scratch, entryFile), run, own.secrets, room.firstId ?? room.ownUid)
    const words = ['/bin/sh', join(room.inside.scratch, entryFile), room.inside.home, ...run.command, ...(run.args ?? [])]
    const order: SupervisorOrder = {
      command: ['/bin/sh', '-c', 'exec "$@" 2>&1', 'job', ...room.command(words)],
      env: { ...this.machine.outerEnv, ...mark },
      walls: room.walls,
      ownUid: room.ownUid,
      firstId: room.firstId,
      timeoutMs,
      graceMs,
      memoryBytes: run.limits.memory_bytes ?? null,
      agentFile: this.agentFile,
      orphanMs: this.options.orphanMs ?? 120_000,
    }
    await supervise(folder.path, order)
    this.watchFolder(attempt.name)
    this.wake()
  }

  private asRun(attempt: JobAttempt): { attempt: JobAttempt; spec: RunSpec } {
    const { spec } = attempt
    if (spec.type === 'run') return { attempt, spec }
    if (spec.type !== 'build') throw new JobRefused(`this machine runs no jobs of type ${spec.type}`)
    if (!this.machine.builds)
      throw new JobRefused(this.machine.notes.find(note => note.startsWith('No builds')) ?? 'No builds here')
    const { gitSchemes = defaultGitSchemes } = this.options
    return buildAsRun(attempt, spec, { image: '', gitSchemes, results: '', context: { file: contextInside } })
  }

  private async runRoom(folder: JobFolder, home: SessionHome, mark: Record<string, string>) {
    return { ...(await this.machine.jobRoom(folder.place, home, mark)), firstId: null }
  }

  private async buildRoom(folder: JobFolder, uid: number, mark: Record<string, string>) {
    for (const path of [folder.build, dirname(folder.context)]) await mkdir(path, { recursive: true, mode: 0o755 })
    const room = await this.machine.buildRoom(folder.place, folder.build, uid, dirname(folder.context), mark)
    return { ...room, walls: 'bubblewrap' as const, ownUid: null }
  }

  private async end(name: string, uid: string, order: { graceMs: number; cause: 'canceled' | 'agent_stopped' }): Promise<void> {
    const folder = this.folder(name)
    const owner = await folder.owner()
    if (owner?.uid !== uid || !isAlive(owner)) return
    if (!folder.endOrder()) await folder.orderEnd(order)
    process.kill(owner.pid, 'SIGTERM')
    this.wake()
  }

  private watchFolder(name: string): void {
    if (this.folderWatches.has(name)) return
    const watcher = watch(this.folder(name).path, { persistent: false }, (_, file) => {
      if (file === 'state.json' || file === 'end.json') this.wake()
    })
    watcher.on('error', () => this.unwatch(name))
    this.folderWatches.set(name, watcher)
  }

  private unwatch(name: string): void {
    this.folderWatches.get(name)?.close()
    this.folderWatches.delete(name)
  }

  private wake(): void {
    for (const wake of [...this.watchers]) wake()
  }
}

/** Resolves once a supervisor has it for good, whoever started that one. */
function supervise(folder: string, order: SupervisorOrder): Promise<void> {
  return new Promise((done, failed) => {
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=64', '--disable-warning=ExperimentalWarning', supervisorProgram, folder],
      {
        cwd: '/',
        env: order.env,
        stdio: ['pipe', 'pipe', 'pipe'],
        detached: true,
      },
    )
    let said = ''
    let fault = ''
    child.stdin.on('error', () => {})
    child.stdin.end(JSON.stringify(order))
    child.stderr.on('data', chunk => {
      fault = (fault + String(chunk)).slice(-2_000)
    })
    child.stdout.on('data', chunk => {
      said += String(chunk)
      if (!said.includes('\n')) return
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
      child.unref()
      done()
    })
    child.once('error', failed)
    child.once('exit', code =>
      failed(new Error(`the job's supervisor ended (${code}): ${fault.trim().split('\n').at(-1) ?? ''}`)),
    )
  })
}
