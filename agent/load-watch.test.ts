import { expect, it } from 'vitest'
import { LoadWatch } from './load-watch.ts'
import { MachineFigures } from './runtimes/local/machine-figures.ts'
import type { Figures } from './runtimes/runtime.ts'
import { FakeClock } from './testing/fake-clock.ts'

it('tells what changed, and nothing when nothing did', async () => {
  const clock = new FakeClock()
  const seen: Figures[] = [100, 100, 900].map(cpu => ({ cpu_millis_used: cpu, memory_bytes_used: 7 }))
  const told: Figures[] = []
  const ending = new AbortController()
  const watch: LoadWatch = new LoadWatch({
    runtime: { figures: () => seen.shift()! },
    clock,
    changed: () => told.push(watch.figures),
  })
  const over = watch.run(ending.signal)
  for (const ms of [3_000, 15_000, 15_000]) await clock.advance(ms)
  expect(told.map(each => each.cpu_millis_used)).toEqual([100, 900])
  ending.abort()
  await over
})

it('a machine’s cpu is what was busy since the last look, of all its processors', () => {
  const figures = new MachineFigures()
  const look = (busyMs: number, allMs: number) => figures.read({ busyMs, allMs, cpus: 4 }, 300 * 2 ** 20)
  look(0, 0)
  expect(look(500, 2_000)).toEqual({ cpu_millis_used: 1_000, memory_bytes_used: 320 * 2 ** 20 })
  expect(look(2_500, 4_000).cpu_millis_used).toBe(4_000)
  expect(look(2_500, 4_000).cpu_millis_used).toBeNull()
  expect(new MachineFigures().read().memory_bytes_used).toBeGreaterThan(0)
})
