/**
 * A runtime that also records: around any other. Sessions started with `recording` have a folder; whoever has one and runs is recorded, also after the
 * agent came back. The files stay until the session is forgotten, and are read like the host's: `/recordings`, `/recordings/{name}`.
 */
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { access, constants, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, sleep } from '../clock.ts'
import { ConfigError } from '../config.ts'
import { type Log, whatFailed } from '../log.ts'
import type { HostRequest, HostResponse, Instance, Runtime } from '../runtimes/runtime.ts'
import { record } from './recorder.ts'

export interface RecordingOptions {
  folder: string
  /** Bytes of all recordings of one session. */
  maxBytes: number
  clock: Clock
  log: Log
}

interface Running {
  abort: AbortController
  instance: Instance
  done: Promise<void>
}

const againMs = 2_000
/** Less room than this is none. */
const least = 128 * 1024
const suffix = '.fbs'
const safeId = /^ses_[0-9a-z]+$/
const fileName = /^g(\d+)-(\d+)$/

/** Everything of `runtime`, with recordings; `end` closes their files and is called before the runtime's own end. */
export async function withRecordings(
  runtime: Runtime,
  options: RecordingOptions,
): Promise<{ runtime: Runtime; end: () => Promise<void> }> {
  const recordings = new Recordings(runtime, options, await keptIn(options.folder))
  const own: Partial<Runtime> = {
    capabilities: async () => {
      const can = await runtime.capabilities()
      return can.features.includes('display') ? { ...can, features: [...can.features, 'recording'] } : can
    },
    start: async (name, session, generation, spec) => {
      if (spec.recording && !spec.headless) await recordings.want(session)
      await runtime.start(name, session, generation, spec)
    },
    observe: async () => recordings.follow(await runtime.observe()),
    forget: async session => {
      await runtime.forget(session)
      await recordings.forget(session)
    },
    host: async (session, request) => (await recordings.answer(session, request)) ?? (await runtime.host(session, request)),
  }
  const both = new Proxy(runtime, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name as keyof Runtime]
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { runtime: both, end: () => recordings.close() }
}

/** What is in the folder; makes it. A volume that is not ours to write is told now, not by the first session that is to be recorded. */
async function keptIn(folder: string): Promise<string[]> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return await readdir(folder)
  } catch (error) {
    throw new ConfigError(`recordings cannot be kept in ${folder}: ${whatFailed(error)}`)
  }
}

class Recordings {
  private readonly runtime: Runtime
  private readonly options: RecordingOptions
  private readonly wanted: Set<string>
  /** By uid of the instance. */
  private readonly running = new Map<string, Running>()
  private closed = false

  constructor(runtime: Runtime, options: RecordingOptions, wanted: string[]) {
    this.runtime = runtime
    this.options = options
    this.wanted = new Set(wanted)
  }

  async want(session: string): Promise<void> {
    await mkdir(this.folder(session), { recursive: true, mode: 0o700 })
    this.wanted.add(session)
  }

  follow(instances: Instance[]): Instance[] {
    const live = new Map(instances.filter(each => each.phase === 'running' && each.display).map(each => [each.uid, each]))
    for (const [uid, { abort }] of this.running) if (!live.has(uid)) abort.abort()
    for (const [uid, instance] of live) {
      const known = this.running.get(uid)
      if (known) known.instance = instance
      else if (!this.closed && this.wanted.has(instance.session)) this.begin(instance)
    }
    return instances
  }

  async forget(session: string): Promise<void> {
    const mine = [...this.running.values()].filter(each => each.instance.session === session)
    for (const { abort } of mine) abort.abort()
    await Promise.all(mine.map(each => each.done))
    this.wanted.delete(session)
    await rm(this.folder(session), { recursive: true, force: true })
  }

  /** Null: not about recordings. */
  async answer(session: string, { method, path, signal }: HostRequest): Promise<HostResponse | null> {
    const [, name] = /^\/recordings(?:\/([^/?]+))?$/.exec(path) ?? []
    if (name === undefined && path !== '/recordings') return null
    if (method !== 'GET') return plain(405, { code: 'conflict', detail: 'recordings can only be read' })
    if (name === undefined) return plain(200, { data: await this.list(session) })
    const found = fileName.test(name) && (await this.list(session)).find(each => each.id === name)
    if (!found) return plain(404, { code: 'not_found', detail: 'there is no such recording' })
    const file = createReadStream(join(this.folder(session), `${name}${suffix}`), { end: Math.max(0, found.bytes - 1), signal })
    return { status: 200, headers: { 'content-length': String(found.bytes) }, body: file }
  }

  async close(): Promise<void> {
    this.closed = true
    for (const { abort } of this.running.values()) abort.abort()
    await Promise.all([...this.running.values()].map(each => each.done))
  }

  private begin(instance: Instance): void {
    const abort = new AbortController()
    const running: Running = { abort, instance, done: Promise.resolve() }
    this.running.set(instance.uid, running)
    running.done = this.keep(running).finally(() => this.running.delete(instance.uid))
  }

  /** A recording that breaks goes on in another file; until the instance is gone, or there is no more room. */
  private async keep(running: Running): Promise<void> {
    const { clock, log } = this.options
    const { signal } = running.abort
    const { session, generation } = running.instance
    while (!signal.aborted) {
      try {
        const files = await this.list(session)
        const room = this.options.maxBytes - files.reduce((sum, each) => sum + each.bytes, 0)
        if (room < least) {
          log.warn('a recording ends: it has reached its largest size', { session })
          if (!signal.aborted) await once(signal, 'abort')
          return
        }
        const dialled = await this.runtime.dial(session, { kind: 'vnc' }, signal)
        if (dialled.kind !== 'bytes') return
        const path = join(this.folder(session), `g${generation}-${files.length + 1}${suffix}`)
        const display = () => running.instance.display ?? { width: 1, height: 1 }
        await record({ socket: dialled.socket, path, clock, display, room }, signal)
      } catch (error) {
        if (!signal.aborted) log.warn('a recording broke', { session, error: whatFailed(error) })
      }
      await sleep(clock, againMs, signal)
    }
  }

  private async list(session: string): Promise<{ id: string; generation: number; started_at: string; bytes: number }[]> {
    if (!this.wanted.has(session)) return []
    const names = (await readdir(this.folder(session)))
      .filter(name => name.endsWith(suffix))
      .map(name => name.slice(0, -suffix.length))
    const found = await Promise.all(
      names
        .filter(name => fileName.test(name))
        .map(async id => {
          const { birthtime, size } = await stat(join(this.folder(session), `${id}${suffix}`))
          return { id, generation: Number(fileName.exec(id)![1]), started_at: birthtime.toISOString(), bytes: size }
        }),
    )
    return found.sort((a, b) => a.started_at.localeCompare(b.started_at))
  }

  private folder(session: string): string {
    if (!safeId.test(session)) throw new Error(`"${session}" is no session id`)
    return join(this.options.folder, session)
  }
}

function plain(status: number, body: object): HostResponse {
  const bytes = Buffer.from(JSON.stringify(body))
  return {
    status,
    headers: { 'content-type': 'application/json', 'content-length': String(bytes.length) },
    body: (async function* () {
      yield bytes
    })(),
  }
}
