/**
 * One stream from `open` to `closed`: reach the target, then dial the data socket, then relay until either leg ends. Whatever happens on the
 * way, both legs are let go of and exactly one of `refused` or `closed` is told.
 */
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Open, StreamRole } from '#protocol/link-messages.ts'
import type { SessionSpec } from '#protocol/session-spec.ts'
import type { Clock } from '../clock.ts'
import { clipboardOf, type Policy } from '../policy.ts'
import { DialError, type Dialled, type HostRequest, type Runtime } from '../runtimes/runtime.ts'
import type { TerminalBook } from '../terminals/terminal-book.ts'
import { viewTerminal } from '../terminals/terminal-viewer.ts'
import { dialData } from './data-socket.ts'
import { relayHttp } from './http-stream.ts'
import { LegWatch } from './leg-watch.ts'
import { openLogs } from './logs-answer.ts'
import { type RelayContext, relayBytes, relayMessages } from './relay.ts'
import { greetTarget } from './rfb/target-handshake.ts'
import { ViewerFilter } from './rfb/viewer-filter.ts'
import type { SpareConnection } from './spare-connection.ts'
import { closeLeg, ended, type StreamEnd } from './stream-end.ts'

export interface LiveStreamParts {
  runtime: Runtime
  terminals: TerminalBook
  policy: Policy
  clock: Clock
  spare: SpareConnection
  active: (session: string) => void
}

/** What the viewer may do now. It can change while the stream lives; `changed` is set by whoever must act on it. */
export interface LiveRole {
  now: StreamRole
  changed: () => void
}

export type StreamOutcome =
  | { kind: 'refused'; status: number; code: string; detail: string }
  | { kind: 'closed'; end: StreamEnd; bytes: { in: number; out: number } }

/** Ready to relay: the target is reached. `drop` lets go of it when the data socket never comes. */
interface Prepared {
  relay: (context: RelayContext) => Promise<StreamEnd>
  drop: () => void
}

const dialDeadlineMs = 10_000
const greetingMs = 15_000

export async function runStream(
  parts: LiveStreamParts,
  open: Open,
  /** null: a volume's stream. */
  spec: SessionSpec | null,
  { abort, role }: { abort: AbortController; role: LiveRole },
  linked: () => void,
): Promise<StreamOutcome> {
  const { clock } = parts
  const { signal } = abort
  const bytes = { in: 0, out: 0 }
  const late = new AbortController()
  const patience = Math.min(open.deadline_ms, dialDeadlineMs)
  const cancelLate = clock.after(patience, () =>
    late.abort(new DialError(504, 'target_timeout', 'the session did not answer in time')),
  )
  const dialling = AbortSignal.any([signal, late.signal])

  let prepared: Prepared
  let ws: WebSocket
  try {
    prepared = await prepare(parts, open, spec, role, dialling, signal)
    try {
      dialling.throwIfAborted()
      ws = await dialData({ url: open.url, key: open.key, signal: dialling, handshakeMs: patience, spare: parts.spare })
      // They come in company.
      parts.spare.expect(open.url)
    } catch (error) {
      prepared.drop()
      throw dialling.aborted
        ? error
        : new DialError(504, 'no_meeting', `the data socket could not be opened: ${(error as Error).message}`)
    }
  } catch (error) {
    if (signal.aborted) return { kind: 'closed', end: signal.reason as StreamEnd, bytes }
    const { status, code } = error instanceof DialError ? error : { status: 502, code: 'target_refused' }
    return { kind: 'refused', status, code, detail: (error as Error).message || 'the session refused the connection' }
  } finally {
    cancelLate()
    linked()
  }

  const watch = new LegWatch(ws, clock, bytes, end => abort.abort(end))
  const gone = new Promise<void>(resolve => ws.once('close', () => resolve()))
  const active = () => parts.active(open.session)
  let end: StreamEnd
  try {
    end = await prepared.relay({ ws, signal, bytes, active, watch: watch.add })
  } catch {
    end = ended('internal')
  } finally {
    watch.close()
  }
  closeLeg(ws, end)
  if (ws.readyState !== ws.CLOSED) await gone
  return { kind: 'closed', end, bytes }
}

async function prepare(
  parts: LiveStreamParts,
  open: Open,
  spec: SessionSpec | null,
  role: LiveRole,
  dialling: AbortSignal,
  life: AbortSignal,
): Promise<Prepared> {
  const { runtime, policy, clock } = parts
  const { session, target } = open
  switch (open.kind) {
    case 'vnc': {
      const dialled = await dialTarget(runtime.dial(session, { kind: 'vnc' }, dialling), dialling)
      if (dialled.kind !== 'bytes') throw new DialError(502, 'target_refused', 'the screen is not a byte stream')
      const { socket } = dialled
      try {
        await greetTarget(socket, dialling)
      } catch (error) {
        dropTarget(dialled)
        throw error
      }
      const rights = () => ({
        control: role.now === 'control',
        clipboard: spec ? clipboardOf(policy, { ...open, role: role.now }, spec) : { in: false, out: false },
        maxDisplay: policy.maxDisplay,
      })
      const relay = (context: RelayContext) => {
        const say = (bytes: Buffer) => {
          context.bytes.out += bytes.length
          context.ws.send(bytes, { binary: true, compress: false }, () => {})
        }
        const filter = new ViewerFilter(rights(), say, context.active)
        let target: Duplex = socket
        role.changed = () => {
          const bytes = filter.change(rights())
          if (bytes && target.writable) target.write(bytes)
        }
        const stop = new AbortController()
        const cancel = clock.after(
          greetingMs,
          () => filter.ready || stop.abort(ended('timeout', 'the viewer did not finish its handshake')),
        )
        filter.greet()
        const signal = AbortSignal.any([context.signal, stop.signal])
        return relayBytes(
          { ...context, signal },
          socket,
          ended('target_ended', 'the screen closed the connection'),
          filter,
          attached => {
            target = attached
          },
        ).finally(() => {
          role.changed = () => {}
          cancel()
        })
      }
      return { relay, drop: () => dropTarget(dialled) }
    }
    case 'playwright':
    case 'cdp':
    case 'port': {
      const what =
        open.kind === 'port' ? { kind: open.kind, port: target.port! } : { kind: open.kind, headers: target.headers ?? {} }
      const dialled = await dialTarget(runtime.dial(session, what, dialling), dialling)
      const relay = (context: RelayContext) =>
        dialled.kind === 'bytes'
          ? relayBytes(context, dialled.socket, ended('normal', 'end'))
          : relayMessages(context, dialled.socket)
      return { relay, drop: () => dropTarget(dialled) }
    }
    case 'http': {
      const { request } = target
      if (!request) throw new DialError(400, 'invalid', 'an http stream needs a request')
      const { method, path, headers } = request
      const { volume } = target
      const ask = (what: HostRequest) =>
        volume !== undefined && runtime.volumes ? runtime.volumes.archive(volume, what) : runtime.host(session, what)
      if (method === 'PUT' || method === 'POST') {
        const relay = (context: RelayContext) => {
          if (volume === undefined) context.active()
          return relayHttp(context, (body, signal) => ask({ method, path, headers, body, signal }))
        }
        return { relay, drop: () => {} }
      }
      // Nothing has to be sent first, so the host is asked before the viewer is answered.
      const stop = new AbortController()
      const drop = () => stop.abort(new Error('dropped'))
      const signal = AbortSignal.any([stop.signal, life])
      const response = await abortable(ask({ method, path, headers, signal }), dialling, drop)
      return { relay: context => relayHttp(context, async () => response).finally(drop), drop }
    }
    case 'logs': {
      const { answer, drop } = await openLogs({ runtime, clock }, open, dialling, life)
      return { relay: context => relayHttp(context, async () => answer).finally(drop), drop }
    }
    case 'terminal': {
      const wish = target.terminal
      if (!wish) throw new DialError(400, 'invalid', 'a terminal stream needs to say which')
      const terminal = await abortable(parts.terminals.open(open, wish, dialling), dialling, () => {})
      return { relay: context => viewTerminal(context, terminal, wish), drop: () => {} }
    }
  }
}

async function dialTarget(dialling: Promise<Dialled>, signal: AbortSignal): Promise<Dialled> {
  const dialled = await abortable(dialling, signal, dropTarget)
  // Nobody listens yet: what it says must wait, and an error must not end the process.
  if (dialled.kind === 'messages') dialled.socket.pause()
  ;(dialled.socket as NodeJS.EventEmitter).on('error', () => {})
  return dialled
}

function dropTarget(dialled: Dialled): void {
  ;(dialled.socket as NodeJS.EventEmitter).on('error', () => {})
  if (dialled.kind === 'bytes') dialled.socket.destroy()
  else dialled.socket.terminate()
}

/** The work's outcome unless the signal aborts first; what comes too late is let go of. */
function abortable<T>(work: Promise<T>, signal: AbortSignal, dropLate: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    let over = false
    const aborted = () => {
      over = true
      reject(signal.reason)
    }
    if (signal.aborted) aborted()
    signal.addEventListener('abort', aborted, { once: true })
    work
      .then(
        value => (over ? dropLate(value) : resolve(value)),
        error => reject(error),
      )
      .finally(() => signal.removeEventListener('abort', aborted))
  })
}
