/**
 * Sessions as child processes of the agent: one sandbox each, with Xvnc, a window manager, the browser and the host program in it. Nothing of
 * them outlives the agent; their files do (`sessions/`, `volumes/` in the data folder).
 */
import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import type { SessionSpec } from '#protocol/session-spec.ts'
import { askHost, dialBytes, dialMessages } from '../host-door.ts'
import { hostShell } from '../host-shell.ts'
import {
  type Capabilities,
  DialError,
  type Dialled,
  type DialTarget,
  type Figures,
  type HostRequest,
  type HostResponse,
  type Instance,
  type LogOptions,
  type Runtime,
  type Shell,
  type ShellOrder,
} from '../runtime.ts'
import { dialScreen } from './dial-screen.ts'
import { LocalJobs, type LocalJobsOptions } from './jobs/local-jobs.ts'
import { type LocalMachine, openMachine } from './local-machine.ts'
import { LocalSession } from './local-session.ts'
import { LocalVolumes } from './local-volumes.ts'
import { MachineFigures } from './machine-figures.ts'
import type { Programs } from './programs.ts'
import { SessionLog } from './session-log.ts'

export interface LocalRuntimeOptions {
  dataDir: string
  /** Node's binary for the host program; default: the one that runs the agent. */
  node?: string
  /** Entry of docker/host; default: the one of this repository. */
  hostProgram?: string
  capacity?: Capabilities['capacity']
  jobs?: LocalJobsOptions
  /** In place of what is found on the machine; null: as if it were not there. */
  programs?: Partial<Programs>
  /** Epoch milliseconds: stamps of timelines. */
  wall?: () => number
}

const closeGrace = 2_000

export async function createLocalRuntime(options: LocalRuntimeOptions): Promise<Runtime> {
  const machine = await openMachine({
    dataDir: resolve(options.dataDir),
    node: options.node ?? process.execPath,
    ...(options.programs && { programs: options.programs }),
    hostProgram: options.hostProgram ?? resolve(import.meta.dirname, '../../../docker/host/main.ts'),
  })
  return new LocalRuntime(machine, options)
}

class LocalRuntime implements Runtime {
  readonly volumes: LocalVolumes
  readonly jobs: LocalJobs
  private readonly machine: LocalMachine
  private readonly spent = new MachineFigures()
  private readonly capacity: Capabilities['capacity']
  private readonly wall: () => number
  private readonly sessions = new Map<string, LocalSession>()
  /** Starts under way by name: the port's `start` is idempotent from its first moment. */
  private readonly beginning = new Map<string, Promise<void>>()
  private readonly watchers = new Set<() => void>()
  private readonly logFiles = new Map<string, SessionLog>()
  private rooms = 0
  private closing: Promise<void> | null = null

  constructor(machine: LocalMachine, options: LocalRuntimeOptions) {
    this.machine = machine
    this.volumes = new LocalVolumes(machine)
    this.jobs = new LocalJobs(machine, options.jobs)
    this.wall = options.wall ?? Date.now
    this.capacity = options.capacity ?? machineCapacity()
  }

  async capabilities(): Promise<Capabilities> {
    const { kinds, browsers, features, versions, notes } = this.machine
    return { runtime: 'local', kinds, browsers, features, versions, notes, capacity: this.capacity }
  }

  figures(): Figures {
    return this.spent.read()
  }

  async observe(): Promise<Instance[]> {
    return [...this.sessions.values()].map(session => session.instance())
  }

  watch(wake: () => void): () => void {
    this.watchers.add(wake)
    return () => this.watchers.delete(wake)
  }

  start(name: string, session: string, generation: number, spec: SessionSpec): Promise<void> {
    if (this.closing) return Promise.reject(new Error('the agent is ending'))
    const known = this.beginning.get(name)
    if (known || this.sessions.has(name)) return known ?? Promise.resolve()
    const begun = this.begin(name, session, generation, spec).finally(() => this.beginning.delete(name))
    this.beginning.set(name, begun)
    return begun
  }

  async stop(name: string, uid: string, graceMs: number): Promise<void> {
    await this.beginning.get(name)?.catch(() => {})
    const session = this.sessions.get(name)
    if (session?.instance().uid !== uid) return
    await session.stop(graceMs)
    if (this.sessions.get(name) !== session) return
    this.sessions.delete(name)
    this.wake()
  }

  async forget(session: string): Promise<void> {
    const living = [...this.sessions.values()].map(each => each.instance()).filter(each => each.session === session)
    const [running] = living.filter(each => each.phase !== 'ended')
    if (running) throw new Error(`${running.name} still runs`)
    for (const each of living) this.sessions.delete(each.name)
    this.logFiles.delete(session)
    await this.machine.folders.forget(session)
    this.wake()
  }

  async dial(session: string, target: DialTarget, signal: AbortSignal): Promise<Dialled> {
    const living = this.running(session)
    signal.throwIfAborted()
    if (target.kind === 'playwright' || target.kind === 'cdp')
      return await dialMessages(living, `/${target.kind}`, target.headers, signal)
    if (target.kind === 'port') return await dialBytes(living, `/ports/${target.port}`, signal)
    if (living.instance().display === null) throw new DialError(404, 'no_display', 'the session is headless: it has no screen')
    return await dialScreen(() => living.connectScreen(), signal)
  }

  async host(session: string, request: HostRequest): Promise<HostResponse> {
    return await askHost(this.running(session), request)
  }

  async exec(session: string, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
    if (order.pod !== undefined || order.container !== undefined)
      throw new DialError(404, 'not_found', 'a session of this machine has no pods and no containers')
    return await hostShell(this.running(session), order, signal)
  }

  async *logs(session: string, options: LogOptions): AsyncIterable<Uint8Array> {
    if (options.container !== undefined) throw new DialError(404, 'not_found', 'a session of this machine has no containers')
    yield* this.logOf(session).read(options)
  }

  close(): Promise<void> {
    this.closing ??= this.shut()
    return this.closing
  }

  private async shut(): Promise<void> {
    await Promise.allSettled(this.beginning.values())
    await Promise.all([this.jobs.close(), ...[...this.sessions.values()].map(session => session.stop(closeGrace))])
    this.sessions.clear()
    await this.machine.close()
  }

  private async begin(name: string, session: string, generation: number, spec: SessionSpec): Promise<void> {
    const { machine } = this
    machine.mustSupport(spec)
    const volume = spec.volume?.id
    const place = join(machine.runtimeFolder, String(++this.rooms))
    const { home, uid } = await machine.folders.take(session, name, volume)
    try {
      const command = await machine.furnish({ place, home, uid, spec })
      const log = this.logOf(session)
      await log.append(Buffer.from(`--- ${name} starts ${new Date(this.wall()).toISOString()}\n`))
      const living = await LocalSession.spawn({
        instance: { session, generation, name, uid: randomUUID() },
        command,
        env: machine.outerEnv,
        scratch: join(place, 's'),
        owner: uid,
        log,
        now: this.wall,
        changed: () => this.wake(),
        cleanUp: () => this.cleanUp(name, place, volume),
      })
      this.sessions.set(name, living)
    } catch (cause) {
      await this.cleanUp(name, place, volume)
      throw cause
    }
    this.wake()
  }

  private async cleanUp(name: string, place: string, volume: string | undefined): Promise<void> {
    this.machine.folders.release(name, volume)
    await rm(place, { recursive: true, force: true }).catch(() => {})
  }

  private running(session: string): LocalSession {
    const living = [...this.sessions.values()].filter(each => each.instance().session === session)
    const found =
      living.find(each => each.instance().phase === 'running') ?? living.find(each => each.instance().phase === 'starting')
    if (!found) throw new DialError(503, 'target_gone', 'the session does not run')
    return found
  }

  private logOf(session: string): SessionLog {
    const known = this.logFiles.get(session)
    if (known) return known
    const log = new SessionLog(this.machine.folders.sessionFolder(session))
    this.logFiles.set(session, log)
    return log
  }

  private wake(): void {
    for (const wake of [...this.watchers]) wake()
  }
}

function machineCapacity(): Capabilities['capacity'] {
  const perSession = 300 * 2 ** 20
  const memory = totalmem()
  const sessions = Math.max(1, Math.min(100, Math.floor((memory * 0.8) / perSession)))
  return { sessions, cpu_millis: availableParallelism() * 1000, memory_bytes: memory }
}
