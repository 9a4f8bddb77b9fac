import { expect, test } from 'vitest'
import { createServerClock } from './server-clock.ts'

test('a clock that is right is left alone', () => {
  const clock = createServerClock(() => 1_000_000)
  clock.heard(1_001_900)
  expect(clock.now()).toBe(1_000_000)
})

test('a clock that is minutes off follows the server, and comes back when it is put right', () => {
  let local = 1_000_000
  const clock = createServerClock(() => local)
  clock.heard(1_300_000)
  expect(clock.now()).toBe(1_300_000)
  clock.heard(1_300_900)
  expect(clock.now()).toBe(1_300_000)
  local = 1_310_000
  clock.heard(1_310_100)
  expect(clock.now()).toBe(1_310_000)
})
