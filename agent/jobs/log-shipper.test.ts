/** The shipper against an API that forgets answers, changes its mind and goes away: whatever happens, the stream there is the stream here. */
import { describe, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { createLog } from '../log.ts'
import type { JobInstance, JobRuntime, LogPiece } from '../runtimes/job-runtime.ts'
import type { LogPost } from './log-post.ts'
import { LogShipper } from './log-shipper.ts'

const instance = { name: 'job-a-a1', uid: 'u', job: 'job_a', attempt: 1, phase: 'ended', streams: [''] } as unknown as JobInstance

/** Output as pieces of 1000 bytes from any place; a hole where `hole` says. */
function source(bytes: Buffer, hole?: [number, number]): JobRuntime {
  return {
    async *logs(_name: string, _uid: string, _stream: string, from: { offset: number }): AsyncGenerator<LogPiece> {
      for (let at = from.offset; at < bytes.length; ) {
        if (hole && at >= hole[0] && at < hole[1]) {
          yield { offset: at, gap: hole[1] - at }
          at = hole[1]
          continue
        }
        const end = Math.min(at + 1000, hole && at < hole[0] ? hole[0] : bytes.length, bytes.length)
        yield { offset: at, data: bytes.subarray(at, end) }
        at = end
      }
    },
  } as unknown as JobRuntime
}

/** Keeps what it takes as the real one does; `trouble` may throw before or after an effect. */
class Taker {
  bytes = Buffer.alloc(0)
  gaps: [number, number][] = []
  complete = false
  calls = 0
  largest = 0
  trouble: (call: number) => 'before' | 'after' | null = () => null

  post: LogPost = async piece => {
    const trouble = this.trouble(++this.calls)
    if (trouble === 'before') throw new Error('no answer')
    const answer = () => ({ next: this.bytes.length, mark: null, complete: this.complete })
    const length = piece.gap ?? piece.data?.length ?? 0
    this.largest = Math.max(this.largest, length)
    if (piece.offset !== undefined && piece.offset > this.bytes.length) return { kind: 'elsewhere', answer: answer() }
    if (piece.offset !== undefined && piece.offset + length > this.bytes.length) {
      const known = this.bytes.length - piece.offset
      if (piece.gap !== undefined) this.gaps.push([this.bytes.length, piece.offset + length])
      const data = piece.data ?? Buffer.alloc(piece.gap ?? 0)
      this.bytes = Buffer.concat([this.bytes, data.subarray(known)])
    }
    if (piece.complete) this.complete = true
    if (trouble === 'after') throw new Error('answer lost')
    return { kind: 'taken', answer: answer() }
  }
}

async function ship(runtime: JobRuntime, taker: Taker, secrets: string[] = []): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const clock = { ...systemClock, after: (ms: number, run: () => void) => systemClock.after(Math.min(ms, 2), run) }
  const shipper = new LogShipper({ runtime, clock, log: createLog(() => {}), post: taker.post, epoch: () => 1, done: resolve })
  shipper.follow([{ instance, secrets }])
  await promise
  expect(shipper.taken(instance)).toBe(true)
  await shipper.close()
}

const numbered = (bytes: number) => {
  const text = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at++) text[at] = (at * 7 + (at >> 8)) & 0xff
  return text
}

describe('a stream arrives', () => {
  test('whole and in order, in pieces of bounded size', async () => {
    const taker = new Taker()
    await ship(source(numbered(900_000)), taker)
    expect(taker.bytes.equals(numbered(900_000))).toBe(true)
    expect([taker.complete, taker.largest <= 262_144]).toEqual([true, true])
  })

  test('whole, though every third request or its answer is lost', async () => {
    const taker = new Taker()
    taker.trouble = call => (call % 3 === 0 ? (call % 2 === 0 ? 'before' : 'after') : null)
    await ship(source(numbered(700_000)), taker)
    expect(taker.bytes.equals(numbered(700_000))).toBe(true)
  })

  test('with its hole written as a hole', async () => {
    const taker = new Taker()
    await ship(source(numbered(50_000), [10_000, 20_000]), taker)
    expect(taker.gaps).toEqual([[10_000, 20_000]])
    expect(taker.bytes.length).toBe(50_000)
  })

  test('without the secrets in it, wherever it was taken up again', async () => {
    const text = Buffer.from('x'.repeat(995).concat('secret-value', 'y'.repeat(990)).repeat(300))
    const taker = new Taker()
    taker.trouble = call => (call % 2 === 0 ? 'after' : null)
    await ship(source(text), taker, ['secret-value'])
    expect(taker.bytes.length).toBe(text.length)
    expect(taker.bytes.includes('secret')).toBe(false)
  })
})
