/** What to do when a screen's socket closed. Pure; the connection does the waiting. */
import { backoffDelay, screenBackoff } from '../live/backoff.ts'
import { closeReason } from './close-reasons.ts'

export interface Ended {
  code: number
  /** Whether a picture had been up, and for how long. */
  livedMs: number
  /** Failed attempts in a row so far, this one included. */
  failures: number
}

export type Next = { kind: 'retry'; delayMs: number; words: string } | { kind: 'stop'; words: string }

/** A connection that lasted this long was good: the next failure starts the count anew. */
export const steadyMs = 10_000
const slowFloorMs = 8_000

export function afterClose(ended: Ended, random: () => number): Next {
  const reason = closeReason(ended.code)
  if (reason.again === 'stop') return { kind: 'stop', words: reason.words }
  const wait = backoffDelay(Math.max(1, ended.failures), random, screenBackoff)
  return { kind: 'retry', delayMs: reason.again === 'slowly' ? Math.max(slowFloorMs, wait) : wait, words: reason.words }
}
