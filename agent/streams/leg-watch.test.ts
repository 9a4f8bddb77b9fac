import { EventEmitter } from 'node:events'
import { beforeEach, expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import { FakeClock } from '../testing/fake-clock.ts'
import { highWater } from './flow.ts'
import { LegWatch } from './leg-watch.ts'
import type { StreamEnd } from './stream-end.ts'

/** The few things of a socket that the watch looks at. */
class Leg extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  isPaused = false
  pings = 0
  answers = true
  ping(): void {
    this.pings++
    if (this.answers) this.emit('pong')
  }
}

let clock: FakeClock
let leg: Leg
let bytes: { out: number }
let end: StreamEnd | null
let watch: LegWatch

beforeEach(() => {
  clock = new FakeClock()
  leg = new Leg()
  bytes = { out: 0 }
  end = null
  watch = new LegWatch(leg as unknown as WebSocket, clock, bytes, how => {
    end = how
  })
})

test('pings every 20 s; closed, nothing is left', async () => {
  await clock.advance(200_000)
  expect([leg.pings, end]).toEqual([10, null])
  watch.close()
  expect([clock.waiting, leg.listenerCount('pong')]).toEqual([0, 0])
})

test('a sink that holds bytes and passes none on: stalled', async () => {
  watch.add({ delivered: 7, pending: () => 1 })
  await clock.advance(119_000)
  expect(end).toBeNull()
  await clock.advance(21_000)
  expect(end).toMatchObject({ code: 4508 })
})

test.each([
  ['one delivery a minute', { delivered: 0, pending: () => 1 }, (gauge: { delivered: number }) => gauge.delivered++],
  ['nothing waiting', { delivered: 0, pending: () => 0 }, () => {}],
])('%s: alive', async (_, gauge, act) => {
  watch.add(gauge)
  for (let minute = 0; minute < 30; minute++) {
    await clock.advance(60_000)
    act(gauge)
  }
  expect(end).toBeNull()
})

test('one huge message that leaves the kernel bit by bit: alive; once it stops: stalled', async () => {
  let queued = 20_000_000
  watch.add({ delivered: 0, pending: () => 20_000_000, queued: () => queued })
  for (let minute = 0; minute < 30; minute++) {
    await clock.advance(60_000)
    queued -= 100_000
  }
  expect(end).toBeNull()
  await clock.advance(160_000)
  expect(end).toMatchObject({ code: 4508 })
})

test('bytes that only pile up are no progress', async () => {
  let held = 1
  watch.add({ delivered: 0, pending: () => held, queued: () => held })
  for (let round = 0; round < 8; round++) {
    await clock.advance(20_000)
    held++
  }
  expect(end).toMatchObject({ code: 4508 })
})

test('no answer to pings: dead', async () => {
  leg.answers = false
  await clock.advance(99_000)
  expect(end).toBeNull()
  await clock.advance(21_000)
  expect(end).toMatchObject({ code: 4408 })
})

test('no answer while much was sent: the ping may just be queued behind it', async () => {
  leg.answers = false
  bytes.out = highWater + 1
  await clock.advance(600_000)
  expect(end).toBeNull()
})

test('a leg that we do not read is not judged, and gets its time back afterwards', async () => {
  leg.answers = false
  leg.isPaused = true
  await clock.advance(600_000)
  leg.isPaused = false
  await clock.advance(80_000)
  expect(end).toBeNull()
  await clock.advance(40_000)
  expect(end).toMatchObject({ code: 4408 })
})
