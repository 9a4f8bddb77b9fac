/**
 * Tells a dead leg from a slow one. Stalled: a sink holds bytes and passed none on for `stalledMs`. Dead: nothing heard from the API for
 * `silentMs` although little was sent since: after more than that our pings may just be queued behind data that a slow viewer takes its time for.
 */
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import { type Gauge, highWater } from './flow.ts'
import { ended, type StreamEnd } from './stream-end.ts'

export const legTiming = { pingMs: 20_000, stalledMs: 120_000, silentMs: 100_000 } as const

export class LegWatch {
  private readonly gauges: { gauge: Gauge; delivered: number; queued: number; since: number }[] = []
  private heardAt: number
  private sentWhenHeard = 0
  private cancel: () => void = () => {}
  private readonly ws: WebSocket
  private readonly clock: Clock
  private readonly bytes: { out: number }
  private readonly end: (end: StreamEnd) => void

  constructor(ws: WebSocket, clock: Clock, bytes: { out: number }, end: (end: StreamEnd) => void) {
    this.ws = ws
    this.clock = clock
    this.bytes = bytes
    this.end = end
    this.heardAt = clock.now()
    for (const event of ['message', 'ping', 'pong']) ws.on(event, this.heard)
    this.tick()
  }

  add = (...gauges: Gauge[]): void => {
    for (const gauge of gauges) this.gauges.push({ gauge, delivered: gauge.delivered, queued: 0, since: this.clock.now() })
  }

  close(): void {
    this.cancel()
    for (const event of ['message', 'ping', 'pong']) this.ws.off(event, this.heard)
  }

  private heard = (): void => {
    this.heardAt = this.clock.now()
    this.sentWhenHeard = this.bytes.out
  }

  private tick(): void {
    this.cancel = this.clock.after(legTiming.pingMs, () => {
      const verdict = this.judge()
      if (verdict) return this.end(verdict)
      if (this.ws.readyState === this.ws.OPEN) this.ws.ping()
      this.tick()
    })
  }

  private judge(): StreamEnd | null {
    const now = this.clock.now()
    for (const watched of this.gauges) {
      const queued = watched.gauge.queued?.() ?? 0
      const moved = watched.gauge.delivered !== watched.delivered || queued < watched.queued
      watched.queued = queued
      if (watched.gauge.pending() === 0 || moved) {
        watched.delivered = watched.gauge.delivered
        watched.since = now
      } else if (now - watched.since >= legTiming.stalledMs) {
        return ended('stalled', 'nothing got through for two minutes')
      }
    }
    const little = this.bytes.out - this.sentWhenHeard <= highWater
    if (!this.ws.isPaused && little && now - this.heardAt >= legTiming.silentMs) return ended('timeout', 'the API is silent')
    if (this.ws.isPaused) this.heard()
    return null
  }
}
