/**
 * The port between the agent and whatever makes sessions. Two fillings (`local/`, `kubernetes/`) pass one conformance suite
 * (`runtime-conformance.ts`). A runtime knows nothing of the API, of deadlines or of streams' pairing: it makes, shows, removes and dials.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { AgentLoad } from '#protocol/link-messages.ts'
import type { Display, endCauses, PodView, SessionSpec } from '#protocol/session-spec.ts'
import type { JobRuntime } from './job-runtime.ts'

/** One made thing, named deterministically `ses-<id without prefix>-g<generation>`. */
export interface Instance {
  /** `ses_…` id it belongs to. */
  session: string
  generation: number
  name: string
  /** Tells this making from an earlier one of the same name; deletes are by uid. */
  uid: string
  phase: 'starting' | 'running' | 'stopping' | 'ended'
  /** Set when `ended` (or why it is not running yet, while `starting`): a sentence for people. */
  reason?: string
  /** Set when `ended` by itself; a runtime only ever says `failed` or `stopped`. */
  cause?: Extract<(typeof endCauses)[number], 'failed' | 'stopped'>
  /** Timeline, oldest first; epoch milliseconds of the agent's clock. */
  phases: { phase: string; at: number }[]
  /** Epoch ms of the last input of a person or script inside, as far as the runtime itself can see; null: unknown. */
  activeAt: number | null
  display: Display | null
  versions: Record<string, string>
  notes: string[]
  pod: PodView | null
}

/** What a stream wants to reach. The runtime dials only sessions it made. */
export type DialTarget =
  | { kind: 'vnc' }
  | { kind: 'playwright'; headers: Record<string, string> }
  | { kind: 'cdp'; headers: Record<string, string> }
  | { kind: 'port'; port: number }

/** `bytes`: RFB or TCP; `messages`: an open WebSocket whose messages pass with their type. */
export type Dialled = { kind: 'bytes'; socket: Duplex } | { kind: 'messages'; socket: WebSocket }

/** A dial that failed. `status`/`code` become the viewer's HTTP problem (502 refused, 503 gone, 504 late, 428 wrong Playwright version, 404 no such port). */
export class DialError extends Error {
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, detail: string) {
    super(detail)
    this.name = 'DialError'
    this.status = status
    this.code = code
  }
}

/** Request to the host program of a session: screenshot, files, metrics, … (see docker/host/HOST.md). Bodies stream both ways. */
export interface HostRequest {
  method: string
  /** Path and query, e.g. `/screenshot` or `/files/a%20b.txt`. */
  path: string
  headers: Record<string, string>
  body?: AsyncIterable<Uint8Array>
  signal: AbortSignal
}
export interface HostResponse {
  status: number
  headers: Record<string, string>
  body: AsyncIterable<Uint8Array>
}

export interface Capabilities {
  runtime: 'local' | 'kubernetes'
  /** Kinds, browsers and features a session may ask for here; the API never places what is not listed. */
  kinds: string[]
  browsers: string[]
  /** Words such as `display`, `volumes`, `egress`, `exec`, `recording`, `warm` (its hosts can be given late settings). */
  features: string[]
  /** Installed programs and their versions, for people: chromium, xvnc, playwright, kubernetes, … */
  versions: Record<string, string>
  /** Things an operator should know: "Chromium runs without its own sandbox: user namespaces are denied". */
  notes: string[]
  capacity: { sessions: number; cpu_millis: number | null; memory_bytes: number | null }
}

export interface LogOptions {
  /** Last so many lines of what is there; undefined: all that is kept. */
  tailLines?: number
  follow: boolean
  container?: string
  signal: AbortSignal
}

/** A shell to be made inside a session: on a terminal of its own, as the session's user. */
export interface ShellOrder {
  /** `trm_…`; its processes carry it, so that all of them are found at its end. */
  terminal: string
  /** Name or path of a program; absent: the best shell there is. */
  shell?: string
  pod?: string
  container?: string
  cols: number
  rows: number
}

export interface Shell {
  /** What it writes, and what is typed; both ways wait for the other side. Ends when the shell is over. */
  stream: Duplex
  resize(cols: number, rows: number): void
  /** Never rejects. `exitCode` null: it did not end by itself; then `reason` says what ended it. */
  ended: Promise<{ exitCode: number | null; reason: string }>
  /** Ends everything that was started in it; resolves when nothing of it runs any more, or nothing more can be done. */
  end(): Promise<void>
}

/** What is spent of the cluster's room now; null: nobody can say. */
export type Figures = Pick<AgentLoad, 'cpu_millis_used' | 'memory_bytes_used'>

export interface Runtime {
  capabilities(): Promise<Capabilities>
  /** Absent where the runtime cannot tell what its cluster spends. */
  figures?(): Figures
  /** Everything there is now, also what an earlier life of the agent left. Rejects when it cannot be known. */
  observe(): Promise<Instance[]>
  /** `wake` is called when `observe()` would say something new. Returns the end of the subscription. */
  watch(wake: () => void): () => void
  /**
   * Makes the instance; resolves once it exists (phase `starting`), not once it runs. Calling it again for a name that exists is a no-op.
   * Rejects when it can never be made (the message becomes the session's reason).
   */
  start(name: string, session: string, generation: number, spec: SessionSpec): Promise<void>
  /** Ends exactly this uid (no-op when gone); resolves when nothing of it runs any more. `graceMs` is for a clean browser exit. */
  stop(name: string, uid: string, graceMs: number): Promise<void>
  /** Removes the files kept for the session between generations (profile, logs). Only after its instances are gone. */
  forget(session: string): Promise<void>
  dial(session: string, target: DialTarget, signal: AbortSignal): Promise<Dialled>
  host(session: string, request: HostRequest): Promise<HostResponse>
  /** Raw bytes of what the session's programs wrote; also for an ended instance whose files are kept. */
  logs(session: string, options: LogOptions): AsyncIterable<Uint8Array>
  /** A shell inside a running session (feature word `exec`). Rejects with DialError when there can be none. */
  exec?(session: string, order: ShellOrder, signal: AbortSignal): Promise<Shell>
  /** Volumes, where the runtime keeps them itself (feature word `volumes`). */
  volumes?: VolumeStore
  /** Jobs, where the runtime runs any. */
  jobs?: JobRuntime
  /** Ends everything this runtime started that cannot outlive the agent. */
  close(): Promise<void>
}

export interface VolumeStore {
  /** Removes the files; resolves also when there were none, rejects while a session uses them. */
  remove(volume: string): Promise<void>
  /** The files as one tar.gz, streamed: `GET` gives it, `PUT` puts its content in place of what is there. */
  archive(volume: string, request: HostRequest): Promise<HostResponse>
}

/** `ses_01abc` + 2 -> `ses-01abc-g2`. */
export function instanceName(session: string, generation: number): string {
  return `${session.replace('_', '-')}-g${generation}`
}
