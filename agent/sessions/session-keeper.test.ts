import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { DesiredSession } from '#protocol/session-spec.ts'
import { settle } from '../testing/fake-clock.ts'
import { KeeperWorld } from '../testing/keeper-world.ts'
import { aDesired, aSpec } from '../testing/session-fixtures.ts'

let world: KeeperWorld
async function begun(policy = {}): Promise<KeeperWorld> {
  world = new KeeperWorld(policy)
  await world.begin()
  await world.connect()
  return world
}
afterEach(() => world.crash())

test('looks that take long rest between them: a storm of news becomes few looks', async () => {
  await begun()
  let looks = 0
  world.runtime.before = async call => {
    if (call === 'observe') looks++
  }
  // Planning takes 5 ms, on a clock that nobody else moves.
  const { wanted } = world.desired
  const entries = wanted.keys.bind(wanted)
  wanted.keys = () => {
    world.clock.pass(5)
    return entries()
  }
  const news = async () => {
    for (let n = 0; n < 10; n++) {
      world.keeper.wake()
      await settle()
    }
  }
  await news()
  expect(looks).toBe(1)
  await world.clock.advance(40)
  expect(looks).toBe(2)
  await world.clock.advance(1_000)
  expect(looks).toBe(2)
})

test('rests between two looks where told to, and begins at once what it hears of when rested', async () => {
  world = new KeeperWorld({}, 5)
  await world.begin()
  await world.clock.advance(5)
  await world.connect()
  await world.clock.advance(5)
  let looks = 0
  world.runtime.before = async call => {
    if (call === 'observe') looks++
  }
  await world.wish(aDesired('ses_a'))
  expect([looks, world.runtime.instances.size]).toEqual([1, 1])
  for (let n = 0; n < 10; n++) await world.snapshot()
  expect(looks).toBe(1)
  await world.clock.advance(5)
  expect(looks).toBe(2)
})

describe('time', () => {
  test('TTL ends a session at its moment, link or no link', async () => {
    await begun()
    await world.wish(aDesired('ses_a', { ttl_remaining_ms: 60_000 }))
    expect(world.view('ses_a')?.phase).toBe('running')
    await world.clock.advance(59_999)
    expect(world.runtime.instances.size).toBe(1)
    await world.clock.advance(1)
    expect(world.runtime.instances.size).toBe(0)
    expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'ttl' })
  })

  test('a wall clock that jumps an hour either way changes no deadline', async () => {
    await begun()
    await world.wish(aDesired('ses_a', { ttl_remaining_ms: 60_000, idle_timeout_ms: 45_000 }))
    for (const jump of [3_600_000, -7_200_000]) {
      world.runtime.instances.get('ses-a-g1')!.activeAt = world.clock.wall()
      world.keeper.wake()
      await settle()
      world.clock.stepWall(jump)
      await world.clock.advance(20_000)
      expect(world.runtime.instances.size).toBe(1)
    }
    await world.clock.advance(20_000)
    expect(world.view('ses_a')).toMatchObject({ cause: 'ttl' })
  })

  test('idle: people, scripts and touches each begin it anew', async () => {
    await begun()
    const wish = aDesired('ses_a', { idle_timeout_ms: 10_000 })
    await world.wish(wish)
    await world.clock.advance(9_000)
    world.keeper.markActivity('ses_a')
    await world.clock.advance(9_000)
    world.runtime.instances.get('ses-a-g1')!.activeAt = world.clock.wall()
    world.keeper.wake()
    await world.clock.advance(9_000)
    await world.wish({ ...wish, touches: 1 })
    await world.clock.advance(9_000)
    expect(world.view('ses_a')).toMatchObject({ phase: 'running', idle_ms: 9_000 })
    await world.clock.advance(1_000)
    expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'idle' })
  })

  test('activity is told at once, then every ten seconds, and never its last part not at all', async () => {
    await begun()
    await world.wish(aDesired('ses_a'))
    const news = () => world.keeper.views().get('ses_a')!.key
    const act = () => world.keeper.markActivity('ses_a')
    let last = news()
    const changed = () => last !== (last = news())
    act()
    expect(changed()).toBe(true)
    await world.clock.advance(1_000)
    act()
    await world.clock.advance(2_000)
    act()
    expect(changed()).toBe(false)
    await world.clock.advance(6_999)
    expect(changed()).toBe(false)
    await world.clock.advance(1)
    expect([changed(), world.view('ses_a')?.idle_ms]).toEqual([true, 7_000])
    await world.clock.advance(60_000)
    expect(changed()).toBe(false)
    act()
    expect(changed()).toBe(true)
  })

  test('the same touch told again is no activity', async () => {
    await begun()
    const wish = aDesired('ses_a', { idle_timeout_ms: 10_000, touches: 4 })
    await world.wish(wish)
    await world.clock.advance(9_000)
    await world.wish(wish)
    await world.snapshot()
    await world.clock.advance(1_000)
    expect(world.view('ses_a')).toMatchObject({ cause: 'idle' })
  })

  test('the cluster’s own limit holds against any TTL', async () => {
    await begun({ maxTtlMs: 5_000 })
    await world.wish(aDesired('ses_a', { ttl_remaining_ms: 1e9 }))
    await world.clock.advance(5_000)
    expect(world.view('ses_a')).toMatchObject({ cause: 'ttl' })
  })

  test('a start that hangs is given up with the phase it hung in, and cleaned away', async () => {
    await begun()
    world.runtime.slow = true
    await world.wish(aDesired('ses_a', { spec: aSpec({ start_timeout_ms: 5_000 }) }))
    expect(world.view('ses_a')?.phase).toBe('starting')
    await world.clock.advance(5_000)
    expect(world.view('ses_a')).toMatchObject({
      phase: 'ended',
      cause: 'start_timeout',
      reason: expect.stringContaining('"created"'),
    })
    expect(world.runtime.instances.size).toBe(0)
  })

  test('a new life enforces a deadline it remembers before anyone has told it anything', async () => {
    await begun()
    await world.wish(aDesired('ses_a', { ttl_remaining_ms: 60_000 }))
    await world.clock.advance(10_000)
    await world.crash()
    await world.clock.advance(40_000)
    await world.begin()
    await world.clock.advance(9_000)
    expect(world.runtime.instances.size).toBe(1)
    await world.clock.advance(1_001)
    expect(world.runtime.instances.size).toBe(0)
  })
})

describe('one session’s trouble is its own', () => {
  test('a stop that fails is tried again with growing pauses; others go on', async () => {
    await begun()
    await world.wish(aDesired('ses_a'), aDesired('ses_b'))
    world.runtime.before = async call => {
      if (call === 'stop ses-a-g1') throw new Error('busy')
    }
    await world.wish(aDesired('ses_a', { state: 'stopped' }), aDesired('ses_b', { state: 'stopped' }))
    expect(world.view('ses_a')).toMatchObject({ phase: 'stopping' })
    expect(world.view('ses_b')).toMatchObject({ phase: 'ended' })
    await world.clock.advance(60_000)
    const tries = world.runtime.calls.filter(call => call === 'stop ses-a-g1').length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(9)
    world.runtime.before = async () => {}
    await world.clock.advance(30_000)
    expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'stopped' })
  })

  test('a stop that never answers is asked again, and blocks nobody', async () => {
    await begun()
    await world.wish(aDesired('ses_a'))
    let hangs = 1
    world.runtime.before = async call => {
      if (call.startsWith('stop') && hangs-- > 0) await new Promise(() => {})
    }
    await world.wish(aDesired('ses_a', { state: 'deleted' }), aDesired('ses_b'))
    expect(world.view('ses_b')?.phase).toBe('running')
    await world.clock.advance(62_000)
    expect(world.view('ses_a')?.phase).toBe('absent')
  })

  test('a start that can never work becomes the reason', async () => {
    await begun()
    world.runtime.before = async call => {
      if (call.startsWith('start')) throw new Error('no such browser: webkit')
    }
    await world.wish(aDesired('ses_a'))
    expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'failed', reason: 'no such browser: webkit' })
    await world.clock.advance(600_000)
    expect(world.runtime.calls).toEqual(['start ses-a-g1'])
  })

  test('deleted while its start hangs: what comes up late is removed', async () => {
    await begun()
    let letGo = () => {}
    world.runtime.before = async call => {
      if (call.startsWith('start')) await new Promise<void>(resolve => (letGo = resolve))
    }
    await world.wish(aDesired('ses_a', { spec: aSpec({ start_timeout_ms: 5_000 }) }))
    await world.wish(aDesired('ses_a', { state: 'deleted' }))
    await world.clock.advance(5_000)
    expect(world.view('ses_a')?.phase).toBe('absent')
    letGo()
    await world.clock.advance(1_000)
    expect(world.runtime.instances.size).toBe(0)
    await world.clock.advance(60_000)
    expect(world.view('ses_a')?.phase).toBe('absent')
  })

  test('a runtime that cannot be looked at is asked again later, not in a hot loop', async () => {
    await begun()
    let looks = 0
    world.runtime.before = async call => {
      if (call === 'observe') {
        looks++
        throw new Error('away')
      }
    }
    await world.wish(aDesired('ses_a'))
    await world.clock.advance(60_000)
    expect(looks).toBeGreaterThan(3)
    expect(looks).toBeLessThan(12)
    world.runtime.before = async () => {}
    await world.clock.advance(30_000)
    expect(world.view('ses_a')?.phase).toBe('running')
  })

  test('a memory that cannot be written starts nothing new, but still ends what is due', async () => {
    await begun()
    await world.wish(aDesired('ses_a', { ttl_remaining_ms: 1_000 }))
    const { save } = world.store
    world.store.save = async () => {
      throw new Error('ENOSPC')
    }
    await world.wish(aDesired('ses_b'))
    await world.clock.advance(20_000)
    expect(world.runtime.calls).not.toContain('start ses-b-g1')
    expect(world.view('ses_a')).toMatchObject({ cause: 'ttl' })
    world.store.save = save
    await world.clock.advance(30_000)
    expect(world.view('ses_b')?.phase).toBe('running')
  })
})

describe('failures and restarts', () => {
  test('on_failure: started again after a pause, its streams ended, given up after too many', async () => {
    await begun()
    await world.wish(aDesired('ses_a', { spec: aSpec({ restart: 'on_failure' }) }))
    for (let failure = 1; failure <= 5; failure++) {
      world.runtime.die('ses-a-g1')
      await settle()
      expect(world.view('ses_a')).toMatchObject({ phase: 'starting', reason: 'starting again: chromium crashed' })
      await world.clock.advance(20_000)
      expect(world.view('ses_a')?.phase).toBe('running')
    }
    expect(world.endings.filter(session => session === 'ses_a').length).toBeGreaterThanOrEqual(5)
    world.runtime.die('ses-a-g1')
    await world.clock.advance(600_000)
    expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'failed', reason: 'chromium crashed' })
  })

  test('the timeline of an ended session is still told', async () => {
    await begun()
    await world.wish(aDesired('ses_a'))
    await world.wish(aDesired('ses_a', { state: 'stopped' }))
    expect(world.view('ses_a')?.phases).toMatchObject([{ phase: 'ready' }])
  })
})

describe('garbage', () => {
  test('only after two complete snapshots of this epoch', async () => {
    await begun()
    await world.wish(aDesired('ses_a'))
    world.wishes.clear()
    await world.snapshot()
    expect(world.runtime.instances.size).toBe(1)
    await world.connect()
    expect(world.runtime.instances.size).toBe(1)
    await world.snapshot()
    expect(world.runtime.instances.size).toBe(0)
    await settle()
    expect(world.runtime.files.size).toBe(0)
    expect(world.memory.sessions.size).toBe(0)
  })
})

/** Everything that may happen, in any order; `n` picks the session. */
const anyEvent = fc.record({
  what: fc.constantFrom(
    'wish',
    'wish',
    'stop',
    'delete',
    'up',
    'die',
    'vanish',
    'time',
    'crash',
    'crash between',
    'fail',
    'lag',
    'snapshot',
    'reconnect',
    'repeat',
  ),
  n: fc.nat(2),
  m: fc.nat(5),
})

describe('any interleaving', () => {
  test('never two instances, no generation twice after its end, and in the end what is wanted is there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { maxLength: 40 }), fc.boolean(), async (events, restart) => {
        world = new KeeperWorld()
        world.runtime.slow = true
        await world.begin()
        await world.connect()
        const spec = aSpec({ restart: restart ? 'on_failure' : 'never', start_timeout_ms: 300_000 })
        const ended = new Map<string, number>()
        const generations = new Map<string, number>()
        let broken = 0
        let dying = false
        world.runtime.before = async call => {
          // The process of this life is gone: its side effects never happen.
          if (dying && call !== 'observe') await new Promise(() => {})
          if (call !== 'observe' && broken-- > 0) throw new Error('broken')
        }
        const noteEnds = () => {
          for (const [session, memory] of world.memory.sessions)
            if (memory.ending) ended.set(`${session}.${memory.generation}`, world.runtime.calls.length)
        }
        let last: DesiredSession | null = null
        for (const { what, n, m } of events) {
          const session = `ses_${n}`
          const generation = generations.get(session) ?? 0
          const names = [...world.runtime.instances.values()]
            .filter(i => i.session === session && i.phase !== 'ended')
            .map(i => i.name)
          const wished = world.wishes.get(session)
          if (what === 'wish' && wished?.state !== 'deleted') {
            generations.set(session, generation + 1)
            await world.wish((last = aDesired(session, { generation: generation + 1, spec })))
          } else if (what === 'stop' && generation > 0 && wished?.state !== 'deleted')
            await world.wish((last = aDesired(session, { generation, state: 'stopped', spec })))
          else if (what === 'delete' && generation > 0)
            await world.wish((last = aDesired(session, { generation, state: 'deleted', spec })))
          else if (what === 'repeat' && last) world.desired.delta({ seq: 1, items: [last] })
          else if (what === 'up' && names[0]) world.runtime.comeUp(names[0])
          else if (what === 'die' && names[0]) world.runtime.die(names[0])
          else if (what === 'vanish' && names[0]) world.runtime.vanish(names[0])
          else if (what === 'time') await world.clock.advance(m * 1_000)
          else if (what === 'fail') broken = m
          else if (what === 'lag') world.runtime.lag = m
          else if (what === 'snapshot') await world.snapshot()
          else if (what === 'reconnect') await world.connect()
          else if (what.startsWith('crash')) {
            noteEnds()
            dying = what === 'crash between'
            if (dying) await world.wish(aDesired(session, { generation: (generations.get(session) ?? 0) + 1, spec }))
            if (dying) generations.set(session, (generations.get(session) ?? 0) + 1)
            await world.crash()
            dying = false
            await world.begin()
            await world.connect()
          }
          await settle()
          noteEnds()
        }
        broken = 0
        world.runtime.lag = 0
        world.runtime.slow = false
        await world.connect()
        for (const instance of world.runtime.instances.values())
          if (instance.phase === 'starting') world.runtime.comeUp(instance.name)
        // Long enough for every back-off, too short for a start timeout.
        await world.clock.advance(250_000)

        expect(world.runtime.mostAtOnce).toBeLessThanOrEqual(1)
        for (const [key, at] of ended) {
          const [session, generation] = key.split('.')
          expect(world.runtime.calls.slice(at)).not.toContain(`start ${session!.replace('_', '-')}-g${generation}`)
        }
        for (const wished of world.wishes.values()) {
          const live = [...world.runtime.instances.values()].filter(i => i.session === wished.id && i.phase !== 'ended')
          const view = world.view(wished.id)
          if (wished.state === 'deleted') {
            expect(view?.phase).toBe('absent')
            expect(world.runtime.files.has(wished.id)).toBe(false)
          } else if (wished.state === 'stopped') expect(view?.phase).toBe('ended')
          else expect([view?.generation, view?.phase]).toEqual([wished.generation, live.length === 1 ? 'running' : 'ended'])
          if (wished.state !== 'running') expect(live).toEqual([])
        }
        await world.crash()
      }),
      { numRuns: 400 },
    )
  }, 120_000)
})
