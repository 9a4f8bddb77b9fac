/**
 * A runtime made of a map: instances come up when told (or at once), die when told, and every call can be made to fail or hang. It keeps the
 * rules of the port, counts what would be a broken promise (two live instances of one session), and outlives "agent restarts".
 */
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionSpec } from '#protocol/session-spec.ts'
import {
  DialError,
  type Dialled,
  type DialTarget,
  type HostRequest,
  type HostResponse,
  type Instance,
  type LogOptions,
  type Runtime,
  type VolumeStore,
} from '../runtimes/runtime.ts'

export class ScriptedRuntime implements Runtime {
  readonly instances = new Map<string, Instance>()
  readonly files = new Set<string>()
  /** Every call with effects, in order. */
  readonly calls: string[] = []
  /** Most live instances any session ever had at once. */
  mostAtOnce = 0
  /** True: `start` leaves it at `starting` until `comeUp`. */
  slow = false
  /** Turns of the event loop until `observe` hands over what it saw: it may be old by then. */
  lag = 0
  closed = false
  volumes?: VolumeStore
  exec?: NonNullable<Runtime['exec']>
  jobs?: NonNullable<Runtime['jobs']>
  wall: () => number = Date.now
  onDial: (session: string, target: DialTarget, signal: AbortSignal) => Promise<Dialled> = async () => {
    throw new DialError(502, 'target_refused', 'nothing listens')
  }
  onHost: (session: string, request: HostRequest) => Promise<HostResponse> = async () => {
    throw new DialError(502, 'target_refused', 'no host')
  }
  onLogs: (session: string, options: LogOptions) => AsyncIterable<Uint8Array> = async function* () {}
  /** Called before each effect; a rejection is the call's. */
  before: (call: string) => Promise<void> = async () => {}
  private uids = 0
  private readonly watchers = new Set<() => void>()

  async capabilities() {
    return {
      runtime: 'local' as const,
      kinds: ['browser', 'desktop', 'app'],
      browsers: ['chromium'],
      features: ['display', 'exec', 'logs_jobs'],
      versions: {},
      notes: [],
      capacity: { sessions: 50, cpu_millis: null, memory_bytes: null },
    }
  }
  async observe(): Promise<Instance[]> {
    await this.before('observe')
    const seen = structuredClone([...this.instances.values()])
    for (let turn = 0; turn < this.lag; turn++) await new Promise(resolve => setImmediate(resolve))
    return seen
  }
  watch(wake: () => void): () => void {
    this.watchers.add(wake)
    return () => this.watchers.delete(wake)
  }
  async start(name: string, session: string, generation: number, _spec: SessionSpec): Promise<void> {
    this.calls.push(`start ${name}`)
    await this.before(`start ${name}`)
    if (this.instances.has(name)) return
    this.files.add(session)
    const at = this.wall()
    this.instances.set(name, {
      session,
      generation,
      name,
      uid: `u${++this.uids}`,
      phase: this.slow ? 'starting' : 'running',
      phases: [{ phase: this.slow ? 'created' : 'ready', at }],
      activeAt: null,
      display: { width: 1280, height: 720 },
      versions: {},
      notes: [],
      pod: null,
    })
    const live = [...this.instances.values()].filter(i => i.session === session && i.phase !== 'ended').length
    this.mostAtOnce = Math.max(this.mostAtOnce, live)
    this.wake()
  }
  async stop(name: string, uid: string, _graceMs: number): Promise<void> {
    this.calls.push(`stop ${name}`)
    await this.before(`stop ${name}`)
    const instance = this.instances.get(name)
    if (instance?.uid !== uid) return
    this.instances.delete(name)
    this.wake()
  }
  async forget(session: string): Promise<void> {
    this.calls.push(`forget ${session}`)
    await this.before(`forget ${session}`)
    this.files.delete(session)
    this.wake()
  }
  dial(session: string, target: DialTarget, signal: AbortSignal): Promise<Dialled> {
    return this.onDial(session, target, signal)
  }
  host(session: string, request: HostRequest): Promise<HostResponse> {
    return this.onHost(session, request)
  }
  logs(session: string, options: LogOptions): AsyncIterable<Uint8Array> {
    return this.onLogs(session, options)
  }
  async close(): Promise<void> {
    this.closed = true
    this.instances.clear()
  }

  comeUp(name: string): void {
    this.instances.get(name)!.phase = 'running'
    this.wake()
  }
  /** Its programs die. */
  die(name: string, reason = 'chromium crashed'): void {
    Object.assign(this.instances.get(name)!, { phase: 'ended', cause: 'failed', reason })
    this.wake()
  }
  /** Somebody removes it behind our back. */
  vanish(name: string): void {
    this.instances.delete(name)
    this.wake()
  }
  private wake(): void {
    for (const wake of this.watchers) wake()
  }
}

/** A target that answers every byte with the same byte. */
export function echoTarget(): Dialled {
  return { kind: 'bytes', socket: new PassThrough() }
}

/** Never answers, but listens to the signal. */
export async function deafTarget(signal: AbortSignal): Promise<never> {
  await delay(2 ** 30, undefined, { signal, ref: false })
  throw new Error('unreachable')
}
