/** All streams of this agent: who may open one, how many at once, how long each may live, and their common end with their session. */

import { WireError } from '#protocol/close-codes.ts'
import type { AgentMessage, Open, StreamRole } from '#protocol/link-messages.ts'
import type { Clock } from '../clock.ts'
import type { StreamControl } from '../link/link-session.ts'
import { type Log, whatFailed } from '../log.ts'
import { forbiddenInJob, forbiddenStream, type Policy, type StreamRefusal } from '../policy.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import type { SessionAccess } from '../sessions/session-keeper.ts'
import { isJob, type TerminalBook } from '../terminals/terminal-book.ts'
import { type LiveRole, runStream } from './live-stream.ts'
import { SpareConnection } from './spare-connection.ts'
import { ended, type StreamEnd } from './stream-end.ts'

export interface StreamTableParts {
  runtime: Runtime
  terminals: TerminalBook
  policy: Policy
  clock: Clock
  log: Log
  access: (session: string) => SessionAccess | null
  /** Resolves when a session just taken from a pool has its settings, or the signal aborts. */
  untilSettled: (session: string, signal: AbortSignal) => Promise<void>
  active: (session: string) => void
  /** To the API, if the link is up. */
  tell: (message: AgentMessage) => void
  changed: () => void
}

interface Entry {
  session: string
  abort: AbortController
  /** The data socket is not open yet. */
  pending: boolean
  role: LiveRole
  cancelExpiry: () => void
  done: Promise<void>
}

export class StreamTable implements StreamControl {
  private readonly entries = new Map<string, Entry>()
  private readonly parts: StreamTableParts
  private readonly spare: SpareConnection

  constructor(parts: StreamTableParts) {
    this.parts = parts
    this.spare = new SpareConnection(parts.clock)
  }

  open(open: Open): void {
    if (this.entries.has(open.stream)) return
    const refusal = this.refusal(open)
    if (refusal) {
      this.parts.tell({ type: 'refused', stream: open.stream, ...refusal })
      return
    }

    const entry: Entry = {
      session: open.session,
      abort: new AbortController(),
      pending: true,
      role: { now: open.role, changed: () => {} },
      cancelExpiry: () => {},
      done: Promise.resolve(),
    }
    this.entries.set(open.stream, entry)
    // While its target is dialled.
    this.spare.expect(open.url)
    this.expireIn(entry, open.remaining_ms)
    entry.done = this.run(open, entry)
    this.parts.changed()
  }

  /** What is about to start is about to be looked at. */
  expect(url: string): void {
    this.spare.expect(url)
  }

  close(stream: string, code: number, reason: string): void {
    this.entries.get(stream)?.abort.abort({ code, reason } satisfies StreamEnd)
  }

  renew(stream: string, remainingMs: number, role?: StreamRole): void {
    const entry = this.entries.get(stream)
    if (!entry) return
    this.expireIn(entry, remainingMs)
    if (role === undefined || role === entry.role.now) return
    entry.role.now = role
    try {
      entry.role.changed()
    } catch (error) {
      entry.abort.abort(error instanceof WireError ? { code: error.code, reason: error.message } : ended('internal'))
    }
  }

  list(): string[] {
    return [...this.entries.keys()]
  }

  get size(): number {
    return this.entries.size
  }

  endSession(session: string, reason: string): void {
    for (const entry of this.entries.values()) if (entry.session === session) entry.abort.abort(ended('target_ended', reason))
  }

  /** Ends every stream; resolves when the last leg is gone. */
  async endAll(end: StreamEnd): Promise<void> {
    const entries = [...this.entries.values()]
    for (const entry of entries) entry.abort.abort(end)
    await Promise.all(entries.map(entry => entry.done))
    this.spare.drop()
  }

  private refusal(open: Open): StreamRefusal | null {
    const { policy, access } = this.parts
    if (this.entries.size >= policy.maxStreams) {
      return { status: 503, code: 'no_capacity', detail: `this cluster carries at most ${policy.maxStreams} streams` }
    }
    const pending = [...this.entries.values()].filter(entry => entry.pending).length
    if (pending >= policy.maxPendingDials) {
      return { status: 503, code: 'no_capacity', detail: 'too many streams are being opened at once' }
    }
    if (open.target.volume !== undefined) return this.volumeRefusal(open)
    if (isJob(open.session)) return forbiddenInJob(policy, open)
    return access(open.session)?.unsettled ? null : this.sessionRefusal(open)
  }

  private sessionRefusal(open: Open): StreamRefusal | null {
    const { policy, access } = this.parts
    const session = access(open.session)
    if (!session) return { status: 404, code: 'not_found', detail: 'this cluster has no such session' }
    if (session.unsettled) return { status: 504, code: 'target_timeout', detail: 'the session is still being given its settings' }
    const forbidden = forbiddenStream(policy, open, session.spec)
    if (forbidden) return forbidden
    if (!session.running && !outlivesSession(open)) return { status: 409, code: 'conflict', detail: 'the session is not running' }
    return null
  }

  /** The archive of a volume: no session is involved. */
  private volumeRefusal(open: Open): StreamRefusal | null {
    const { policy, runtime } = this.parts
    if (policy.featuresOff.includes('volumes') || policy.featuresOff.includes('http') || open.role !== 'control') {
      return { status: 403, code: 'forbidden', detail: 'this cluster does not allow volume archives' }
    }
    if (open.kind === 'http' && runtime.volumes) return null
    return { status: 501, code: 'unsupported', detail: 'this cluster keeps no volumes that can be read' }
  }

  private async run(open: Open, entry: Entry): Promise<void> {
    const { parts } = this
    const linked = () => {
      entry.pending = false
    }
    try {
      const late = parts.access(open.session)?.unsettled === true && (await this.waitSettled(open, entry))
      if (late) return parts.tell({ type: 'refused', stream: open.stream, ...late })
      const spec = parts.access(open.session)?.spec ?? null
      const outcome = await runStream({ ...parts, spare: this.spare }, open, spec, entry, linked)
      if (outcome.kind === 'refused') {
        const { status, code, detail } = outcome
        parts.tell({ type: 'refused', stream: open.stream, status, code, detail })
      } else {
        const { end, bytes } = outcome
        parts.tell({
          type: 'closed',
          stream: open.stream,
          code: end.code,
          reason: end.reason,
          bytes_in: bytes.in,
          bytes_out: bytes.out,
        })
      }
    } catch (error) {
      parts.log.error('a stream broke', { stream: open.stream, kind: open.kind, error: whatFailed(error) })
      parts.tell({ type: 'closed', stream: open.stream, code: 1011, reason: 'internal', bytes_in: 0, bytes_out: 0 })
    } finally {
      entry.cancelExpiry()
      this.entries.delete(open.stream)
      parts.changed()
    }
  }

  /** A viewer may come before the session is what was asked for: it waits as for a slow dial. */
  private async waitSettled(open: Open, entry: Entry): Promise<StreamRefusal | null> {
    const late = new AbortController()
    const cancel = this.parts.clock.after(open.deadline_ms, () => late.abort())
    try {
      await this.parts.untilSettled(open.session, AbortSignal.any([entry.abort.signal, late.signal]))
    } finally {
      cancel()
    }
    return this.sessionRefusal(open)
  }

  private expireIn(entry: Entry, ms: number): void {
    entry.cancelExpiry()
    entry.cancelExpiry = this.parts.clock.after(ms, () => entry.abort.abort(ended('token_ended')))
  }
}

/** What can be read of a session that has ended. */
function outlivesSession({ kind, target }: Open): boolean {
  return kind === 'logs' || (kind === 'http' && /^\/recordings(\/|$)/.test(target.request?.path ?? ''))
}
