/**
 * Frames of `http` streams (screenshot, files, archives) and of `logs`: the API is an endpoint there, not a pipe. Binary messages are body bytes
 * (<= 64 KiB each); text messages are these. Both directions are metered by absolute, cumulative credit: a sender may have at most
 * `httpWindow` bytes beyond the last `credit.total` it got. A body that ends without `end` was cut: an error, never a success.
 */
import { z } from 'zod'

export const httpChunk = 64 * 1024
export const httpWindow = 256 * 1024

/** Agent -> API, once, before any body byte. */
export const HttpHead = z.object({ type: z.literal('head'), status: z.int(), headers: z.record(z.string(), z.string()) })
/** Both: the body is complete. */
export const HttpEnd = z.object({ type: z.literal('end') })
/** Both: total body bytes the consumer has taken since the start. Never falls. */
export const HttpCredit = z.object({ type: z.literal('credit'), total: z.number().nonnegative() })

export const HttpFrame = z.discriminatedUnion('type', [HttpHead, HttpEnd, HttpCredit])
export type HttpFrame = z.infer<typeof HttpFrame>

/** Sender's side of the window: how many more bytes may go, and a way to wait for room. */
export class CreditWindow {
  private sent = 0
  private taken = 0
  private wake: (() => void) | null = null
  private ended: Error | null = null
  private readonly size: number
  constructor(size: number = httpWindow) {
    this.size = size
  }
  get room(): number {
    return this.size - (this.sent - this.taken)
  }
  spend(bytes: number): void {
    this.sent += bytes
  }
  /** Absolute, so that repeated or reordered credits do no harm. */
  grant(total: number): void {
    if (total <= this.taken) return
    this.taken = Math.min(total, this.sent)
    this.wake?.()
  }
  fail(error: Error): void {
    this.ended = error
    this.wake?.()
  }
  /** Resolves when at least one byte may go; rejects when the stream ended. One waiter at a time. */
  async waitForRoom(): Promise<void> {
    while (this.room <= 0 && !this.ended) await new Promise<void>(resolve => (this.wake = resolve))
    this.wake = null
    if (this.ended) throw this.ended
  }
}
