import { beforeEach, expect, test } from 'vitest'
import { createLog } from '../log.ts'
import { FakeClock, settle } from '../testing/fake-clock.ts'
import { DesiredState } from './desired-state.ts'
import { VolumeSweep } from './volume-sweep.ts'

let clock: FakeClock
let desired: DesiredState
let removed: string[]
let busy: Set<string>
let changes: number
let sweep: VolumeSweep

beforeEach(() => {
  clock = new FakeClock()
  desired = new DesiredState(clock)
  removed = []
  busy = new Set()
  changes = 0
  const store = {
    async remove(volume: string) {
      if (busy.has(volume)) throw new Error(`${volume} is in use`)
      removed.push(volume)
    },
    archive: () => Promise.reject(new Error('not asked for')),
  }
  sweep = new VolumeSweep({ store, desired, clock, log: createLog(() => {}), changed: () => changes++ })
})

async function ask(seq: number, ...volumes: string[]): Promise<void> {
  desired.page({ seq, items: [], deleted_volumes: volumes, complete: true })
  sweep.wake()
  await settle()
}

test('removes each once and says so as long as it is asked', async () => {
  await ask(1, 'vol_a', 'vol_b')
  await ask(2, 'vol_a')
  expect([removed, sweep.absent(), changes]).toEqual([['vol_a', 'vol_b'], ['vol_a'], 2])
  await ask(3)
  expect(sweep.absent()).toEqual([])
})

test('one in use is tried again with growing pauses, the others do not wait', async () => {
  busy.add('vol_a')
  await ask(1, 'vol_a', 'vol_b')
  expect(removed).toEqual(['vol_b'])
  await ask(2, 'vol_a', 'vol_b')
  expect(clock.waiting).toBe(1)
  await clock.advance(30_000)
  busy.clear()
  await clock.advance(60_000)
  expect(removed).toEqual(['vol_b', 'vol_a'])
})

test('an order taken back while it waits is not carried out', async () => {
  busy.add('vol_a')
  await ask(1, 'vol_a')
  busy.clear()
  await ask(2)
  await clock.advance(120_000)
  expect(removed).toEqual([])
})

test('closed: no timer is left', async () => {
  busy.add('vol_a')
  await ask(1, 'vol_a')
  sweep.close()
  expect(clock.waiting).toBe(0)
})
