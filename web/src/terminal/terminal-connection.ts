/**
 * One terminal that keeps itself connected: ticket -> WebSocket, again after every loss, from the byte where it was cut. The shell lives on at the agent
 * meanwhile; it is over only when the agent says `exit` or the API knows of no such terminal.
 *
 *   connecting -> live -> waiting -> connecting ...        stop(): closed, from anywhere
 *        \----------------^   \-> ended (retry(): connecting)
 */
import { ApiError } from '../api/api-error.ts'
import type { Ticket } from '../api/contract.ts'
import { afterClose, steadyMs } from '../screen/reconnect-policy.ts'
import { socketUrl } from '../screen/screen-connection.ts'
import { readFrame, type TerminalFrame } from './frames.ts'

export type TerminalState =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'live' }
  | { phase: 'waiting'; attempt: number; retryAt: number; words: string }
  /** `final`: nothing of it runs any more. */
  | { phase: 'ended'; words: string; final: boolean }
  | { phase: 'closed' }

/** Where the bytes go. */
export interface TerminalSink {
  /** `done` when they are on the page. While `replay` is true they were there before: answers to them must not be sent. */
  write: (bytes: Uint8Array, replay: boolean, done: () => void) => void
  gap: (bytes: number) => void
  /** What came before does not belong to what comes now. */
  reset: () => void
  size: () => { cols: number; rows: number }
  resized: (cols: number, rows: number) => void
}

export interface TerminalParts {
  sink: TerminalSink
  ticket: () => Promise<Ticket>
  openSocket: (url: string, protocols: string[]) => WebSocket
  onState: (state: TerminalState) => void
  random?: () => number
  now?: () => number
  pingMs?: number
  deafMs?: number
}

export interface TerminalConnection {
  /** Dropped while there is no connection: a key is sent once or never. */
  type: (bytes: Uint8Array<ArrayBuffer>) => void
  resize: (cols: number, rows: number) => void
  retry: () => void
  hurry: () => void
  stop: () => void
}

/** More than this waiting to be drawn: let the agent drop instead of this page growing. */
const mostUndrawn = 4 * 1024 * 1024

export function connectTerminal(parts: TerminalParts): TerminalConnection {
  const { sink, onState, random = Math.random, now = Date.now, pingMs = 20_000, deafMs = 10_000 } = parts
  let socket: WebSocket | null = null
  /** Byte of the output that comes next; null: nothing was seen yet. */
  let offset: number | null = null
  let replayUntil = 0
  let undrawn = 0
  let failures = 0
  let stopped = false
  let over = false
  let waiting = false
  let turn = 0
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  let pingTimer: ReturnType<typeof setInterval> | undefined
  let deafTimer: ReturnType<typeof setTimeout> | undefined

  async function connect() {
    clearTimeout(retryTimer)
    waiting = false
    const mine = ++turn
    const stale = () => stopped || mine !== turn
    onState({ phase: 'connecting', attempt: failures + 1 })
    let opened: WebSocket
    try {
      const ticket = await parts.ticket()
      if (stale()) return
      const from = offset === null ? '' : `?offset=${offset}`
      opened = parts.openSocket(socketUrl(ticket.url) + from, ['binary', `ticket.${ticket.ticket}`])
    } catch (error) {
      if (!stale()) refused(error)
      return
    }
    opened.binaryType = 'arraybuffer'
    socket = opened
    let liveSince: number | null = null
    opened.addEventListener('message', event => {
      if (stale()) return
      clearTimeout(deafTimer)
      deafTimer = undefined
      if (typeof event.data !== 'string') return bytes(new Uint8Array(event.data as ArrayBuffer))
      const frame = readFrame(event.data)
      if (frame?.type === 'connected') {
        liveSince = now()
        begin(opened, frame)
      } else if (frame) heard(frame)
    })
    opened.addEventListener('close', event => {
      if (stale() || over) return
      rest()
      const livedMs = liveSince === null ? 0 : now() - liveSince
      failures = livedMs >= steadyMs ? 1 : failures + 1
      const decision = afterClose({ code: event.code, livedMs, failures }, random)
      if (decision.kind === 'stop') onState({ phase: 'ended', words: decision.words, final: false })
      else wait(decision.delayMs, decision.words)
    })
  }

  function begin(opened: WebSocket, frame: Extract<TerminalFrame, { type: 'connected' }>) {
    if (offset !== null && frame.offset !== offset) sink.reset()
    offset = frame.offset
    replayUntil = frame.live
    const { cols, rows } = sink.size()
    if (cols !== frame.cols || rows !== frame.rows) send({ type: 'resize', cols, rows })
    pingTimer = setInterval(() => {
      if (opened.readyState !== WebSocket.OPEN || deafTimer) return
      send({ type: 'ping' })
      deafTimer = setTimeout(abandon, deafMs)
    }, pingMs)
    onState({ phase: 'live' })
  }

  function heard(frame: TerminalFrame) {
    if (frame.type === 'gap') {
      offset = frame.offset + frame.bytes
      sink.gap(frame.bytes)
    } else if (frame.type === 'resized') sink.resized(frame.cols, frame.rows)
    else if (frame.type === 'exit') {
      over = true
      const code = frame.exit_code === null ? frame.reason : `The shell ended with exit code ${frame.exit_code}.`
      onState({ phase: 'ended', words: code || 'The terminal has ended.', final: true })
    }
  }

  function bytes(chunk: Uint8Array) {
    const replay = (offset ?? 0) < replayUntil
    offset = (offset ?? 0) + chunk.length
    undrawn += chunk.length
    sink.write(chunk, replay, () => {
      undrawn -= chunk.length
      if (undrawn === 0 && choked) {
        choked = false
        void connect()
      }
    })
    if (undrawn > mostUndrawn && !choked) choke()
  }

  let choked = false
  /** It comes faster than it can be drawn: leave, draw what is here, and come back to what the agent has kept. */
  function choke() {
    choked = true
    turn += 1
    const full = socket
    rest()
    full?.close(1000)
  }

  function abandon() {
    turn += 1
    const dead = socket
    rest()
    dead?.close()
    failures += 1
    const decision = afterClose({ code: 1006, livedMs: 0, failures }, random)
    wait(decision.kind === 'retry' ? decision.delayMs : 0, 'The connection went silent.')
  }

  function refused(error: unknown) {
    failures += 1
    if (error instanceof ApiError && [401, 403, 404, 410].includes(error.status)) {
      over = error.status === 404 || error.status === 410
      onState({ phase: 'ended', words: over ? 'This terminal has ended.' : error.message, final: over })
      return
    }
    const decision = afterClose({ code: 1006, livedMs: 0, failures }, random)
    wait(decision.kind === 'retry' ? decision.delayMs : 0, error instanceof ApiError ? error.message : decision.words)
  }

  function wait(delay: number, words: string) {
    onState({ phase: 'waiting', attempt: failures, retryAt: now() + delay, words })
    waiting = true
    retryTimer = setTimeout(() => void connect(), delay)
  }

  function rest() {
    clearInterval(pingTimer)
    clearTimeout(deafTimer)
    clearTimeout(retryTimer)
    deafTimer = undefined
    socket = null
  }

  function send(message: object) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message))
  }

  void connect()

  return {
    type(typed) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(typed)
    },
    resize: (cols, rows) => send({ type: 'resize', cols, rows }),
    retry() {
      if (stopped || socket || over) return
      failures = 0
      void connect()
    },
    hurry() {
      if (!stopped && waiting) void connect()
    },
    stop() {
      if (stopped) return
      stopped = true
      turn += 1
      const last = socket
      rest()
      last?.close(1000)
      onState({ phase: 'closed' })
    },
  }
}
