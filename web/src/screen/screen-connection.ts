/**
 * One live screen that keeps itself connected: ticket -> WebSocket -> noVNC, again after every loss (reconnect-policy.ts says when).
 *
 *   connecting -> live -> waiting -> connecting ...        stop(): closed, from anywhere
 *        \----------------^   \-> ended (retry(): connecting)
 *
 * Keep-alive is in band, because pings do not cross joined legs: every `pingMs` it asks for one pixel, and a screen that says nothing for
 * `deafMs` after that is given up. The last picture stays on display while it reconnects.
 */
import type RFB from '@novnc/novnc'
import { ApiError } from '../api/api-error.ts'
import type { Ticket } from '../api/contract.ts'
import { afterClose, steadyMs } from './reconnect-policy.ts'

export type ScreenState =
  | { phase: 'connecting'; attempt: number }
  | { phase: 'live' }
  | { phase: 'waiting'; attempt: number; retryAt: number; words: string }
  | { phase: 'ended'; words: string }
  | { phase: 'closed' }

/** How the picture is shown and driven; may change while live. */
export interface ScreenLook {
  viewOnly: boolean
  scale: 'fit' | 'actual' | 'match'
  quality: number
  compression: number
}

export interface ScreenParts {
  target: HTMLElement
  ticket: () => Promise<Ticket>
  openSocket: (url: string, protocols: string[]) => WebSocket
  loadRfb: () => Promise<typeof RFB>
  onState: (state: ScreenState) => void
  onClipboard?: (text: string) => void
  look: ScreenLook
  random?: () => number
  now?: () => number
  pingMs?: number
  deafMs?: number
  /** An attempt that has shown no picture after so long is given up: ticket, code and handshake are all in it. */
  lateMs?: number
}

export interface ScreenConnection {
  /** The live noVNC object; null while there is no picture. */
  rfb: () => RFB | null
  look: (look: ScreenLook) => void
  /** Now, instead of after the wait; also out of `ended`. */
  retry: () => void
  /** The network or the tab came back: ends a wait, but nothing that was final. */
  hurry: () => void
  stop: () => void
}

/** FramebufferUpdateRequest, not incremental, one pixel: costs ~20 bytes each way and counts as no input. */
const askOnePixel = new Uint8Array([3, 0, 0, 0, 0, 0, 0, 1, 0, 1])

export function connectScreen(parts: ScreenParts): ScreenConnection {
  const { target, onState, random = Math.random, now = Date.now, pingMs = 20_000, deafMs = 10_000, lateMs = 45_000 } = parts
  let look = parts.look
  let rfb: RFB | null = null
  let socket: WebSocket | null = null
  let failures = 0
  let stopped = false
  let waiting = false
  let retryTimer: ReturnType<typeof setTimeout> | undefined
  let pingTimer: ReturnType<typeof setInterval> | undefined
  let deafTimer: ReturnType<typeof setTimeout> | undefined
  let lateTimer: ReturnType<typeof setTimeout> | undefined
  /** Each attempt has its number; whatever an older one still says is ignored. */
  let turn = 0

  async function connect() {
    clearTimeout(retryTimer)
    clearTimeout(lateTimer)
    waiting = false
    const mine = ++turn
    const stale = () => stopped || mine !== turn
    onState({ phase: 'connecting', attempt: failures + 1 })
    lateTimer = setTimeout(() => !stale() && abandon('The screen did not answer in time.'), lateMs)
    let opened: WebSocket
    let Rfb: typeof RFB
    try {
      const [ticket, loaded] = await Promise.all([parts.ticket(), parts.loadRfb()])
      if (stale()) return
      Rfb = loaded
      opened = parts.openSocket(socketUrl(ticket.url), ['binary', `ticket.${ticket.ticket}`])
    } catch (error) {
      if (!stale()) refused(error)
      return
    }
    socket = opened
    let liveSince: number | null = null
    // Before noVNC's own handler takes its canvas off the page.
    opened.addEventListener('close', event => {
      if (stale()) return
      freeze(target)
      rest()
      const livedMs = liveSince === null ? 0 : now() - liveSince
      failures = livedMs >= steadyMs ? 1 : failures + 1
      next(event.code, livedMs)
    })
    try {
      rfb = new Rfb(target, opened, { shared: true })
    } catch {
      opened.close()
      return
    }
    const mineRfb = rfb
    dress(mineRfb)
    mineRfb.addEventListener('connect', () => {
      if (stale()) return
      liveSince = now()
      clearTimeout(lateTimer)
      thaw(target)
      // Reachable by keyboard; noVNC makes it focusable by click only.
      target.querySelector('canvas:not([data-frozen])')?.setAttribute('tabindex', look.viewOnly ? '-1' : '0')
      dress(mineRfb)
      keepAlive(opened)
      onState({ phase: 'live' })
    })
    mineRfb.addEventListener('clipboard', event => {
      if (!stale()) parts.onClipboard?.(event.detail.text)
    })
    mineRfb.addEventListener('credentialsrequired', () => opened.close(4400))
  }

  function keepAlive(opened: WebSocket) {
    opened.addEventListener('message', () => {
      clearTimeout(deafTimer)
      deafTimer = undefined
    })
    pingTimer = setInterval(() => {
      if (opened.readyState !== WebSocket.OPEN || deafTimer) return
      opened.send(askOnePixel)
      deafTimer = setTimeout(() => abandon('The connection went silent.'), deafMs)
    }, pingMs)
  }

  /** A dead network may take a minute to close a socket: do not wait for it. */
  function abandon(words: string) {
    freeze(target)
    turn += 1
    const dead = rfb
    const half = socket
    rest()
    if (dead) dead.disconnect()
    else half?.close()
    failures += 1
    wait(afterClose({ code: 1006, livedMs: 0, failures }, random), words)
  }

  function refused(error: unknown) {
    clearTimeout(lateTimer)
    failures += 1
    if (error instanceof ApiError) {
      if (error.status === 401 || error.status === 403 || error.status === 404) {
        onState({ phase: 'ended', words: error.message })
        return
      }
      // 409: a share link that shows as many screens as it may.
      const full = error.status === 429 || error.status === 409 || error.code === 'no_capacity'
      const code = full ? 4429 : error.status === 503 ? 4503 : 1006
      wait(afterClose({ code, livedMs: 0, failures }, random), error.message)
      return
    }
    wait(afterClose({ code: 1006, livedMs: 0, failures }, random))
  }

  function next(code: number, livedMs: number) {
    const decision = afterClose({ code, livedMs, failures }, random)
    if (decision.kind === 'stop') onState({ phase: 'ended', words: decision.words })
    else wait(decision)
  }

  function wait(decision: ReturnType<typeof afterClose>, words = decision.words) {
    const delay = decision.kind === 'retry' ? decision.delayMs : 0
    onState({ phase: 'waiting', attempt: failures, retryAt: now() + delay, words })
    waiting = true
    retryTimer = setTimeout(() => void connect(), delay)
  }

  function rest() {
    clearInterval(pingTimer)
    clearTimeout(deafTimer)
    clearTimeout(retryTimer)
    clearTimeout(lateTimer)
    deafTimer = undefined
    rfb = null
    socket = null
  }

  function dress(one: RFB) {
    one.background = 'transparent'
    one.viewOnly = look.viewOnly
    one.focusOnClick = !look.viewOnly
    one.scaleViewport = look.scale === 'fit'
    one.clipViewport = false
    one.resizeSession = look.scale === 'match' && !look.viewOnly
    one.qualityLevel = look.quality
    one.compressionLevel = look.compression
  }

  void connect()

  return {
    rfb: () => rfb,
    look(nextLook) {
      look = nextLook
      if (rfb) dress(rfb)
      target.querySelector('canvas:not([data-frozen])')?.setAttribute('tabindex', look.viewOnly ? '-1' : '0')
    },
    retry() {
      if (stopped || socket) return
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
      const last = rfb
      const half = socket
      rest()
      if (last) last.disconnect()
      else half?.close()
      thaw(target)
      onState({ phase: 'closed' })
    },
  }
}

/** The API may answer with a path, or with http(s). */
export function socketUrl(url: string, base = location.href): string {
  return new URL(url, base).href.replace(/^http/, 'ws')
}

function freeze(target: HTMLElement) {
  const canvas = target.querySelector<HTMLCanvasElement>('canvas:not([data-frozen])')
  if (!canvas || canvas.width === 0 || canvas.height === 0) return
  thaw(target)
  const copy = document.createElement('canvas')
  copy.width = canvas.width
  copy.height = canvas.height
  copy.getContext('2d')?.drawImage(canvas, 0, 0)
  copy.dataset.frozen = ''
  copy.setAttribute('aria-hidden', 'true')
  target.append(copy)
}

function thaw(target: HTMLElement) {
  for (const copy of target.querySelectorAll('canvas[data-frozen]')) copy.remove()
}
