/**
 * Keeps one control link alive for ever: dials, runs it, and after each end waits a jittered while before the next. Nothing else of the
 * agent depends on it being up: sessions, deadlines and open streams go on without.
 */

import { closeCodes } from '#protocol/close-codes.ts'
import { type AgentMessage, linkTiming } from '#protocol/link-messages.ts'
import { sleep } from '../clock.ts'
import { whatFailed } from '../log.ts'
import { Backoff } from './backoff.ts'
import { type LinkEnd, type LinkParts, LinkSession } from './link-session.ts'
import { type DialLink, UpgradeRefused } from './link-socket.ts'

export interface AgentLinkParts extends LinkParts {
  dial: DialLink
  /** Resolve `run` after this long without a working link, for a supervisor to start us anew; null: try for ever. */
  giveUpAfterMs: number | null
  /** The API refused our identity: once for people, then we keep trying. */
  refused?: (error: UpgradeRefused) => void
}

/** Another agent of this cluster holds the link, or the API's history is older than ours: no hurry then. */
const standbyMs = 30_000

export class AgentLink {
  private readonly parts: AgentLinkParts
  private session: LinkSession | null = null
  private resume: { epoch: number; seq: number } | null = null

  constructor(parts: AgentLinkParts) {
    this.parts = parts
  }

  get working(): boolean {
    return this.session?.working ?? false
  }
  /** Messages about streams; false: the link is down (the next link's stream list tells instead). */
  send(message: AgentMessage): boolean {
    return this.session?.send(message) ?? false
  }
  reportSoon = (): void => this.session?.reportSoon()
  loadChanged = (): void => this.session?.loadChanged()

  async run(signal: AbortSignal): Promise<'aborted' | 'gave up'> {
    const { clock, log, random, giveUpAfterMs } = this.parts
    const backoff = new Backoff(random)
    let downSince = clock.now()
    while (!signal.aborted) {
      let wait: number
      try {
        const end = await this.once(signal)
        if (signal.aborted) break
        if (end.upMs !== null) downSince = clock.now()
        if (end.upMs !== null && end.upMs >= linkTiming.stable) backoff.reset()
        wait = waitAfter(end, backoff, random)
        log.warn('link down', { code: end.code, reason: end.reason, redial_ms: Math.round(wait) })
      } catch (error) {
        if (signal.aborted) break
        wait = backoff.next()
        if (error instanceof UpgradeRefused) this.parts.refused?.(error)
        log.warn('link not up', { error: whatFailed(error), redial_ms: Math.round(wait) })
      }
      if (giveUpAfterMs !== null && clock.now() - downSince >= giveUpAfterMs) {
        log.error('no link for too long, giving up', { minutes: Math.round(giveUpAfterMs / 60_000) })
        return 'gave up'
      }
      await sleep(clock, wait, signal)
    }
    return 'aborted'
  }

  private async once(signal: AbortSignal): Promise<LinkEnd> {
    const session = new LinkSession(this.parts, this.resume)
    const goodbye = () => session.close(closeCodes.going_away, 'agent stops')
    try {
      const socket = await this.parts.dial({ message: session.receive, life: session.life, closed: session.closed }, signal)
      this.session = session
      signal.addEventListener('abort', goodbye, { once: true })
      await session.begin(socket)
      if (signal.aborted) goodbye()
      return await session.ended
    } finally {
      signal.removeEventListener('abort', goodbye)
      this.session = null
      const { epochs, desired } = this.parts
      if (desired.complete) this.resume = { epoch: epochs.highest(), seq: desired.seq }
    }
  }
}

function waitAfter(end: LinkEnd, backoff: Backoff, random: () => number): number {
  if (end.code === closeCodes.superseded) return standbyMs * (0.5 + random())
  if (end.goawayMs !== null) return random() * linkTiming.backoffBase
  return backoff.next()
}
