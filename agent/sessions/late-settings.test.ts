/** A warm session's way to its owner, as the keeper leads it: settings in force before any stream, and never a second instance. */
import { afterEach, describe, expect, test } from 'vitest'
import type { HostRequest, HostResponse } from '../runtimes/runtime.ts'
import { settle } from '../testing/fake-clock.ts'
import { KeeperWorld } from '../testing/keeper-world.ts'
import { aDesired, aSpec } from '../testing/session-fixtures.ts'
import { lateSettings } from './late-settings.ts'

let world: KeeperWorld | null = null
let asked: { path: string; body: unknown }[]
/** What the host answers; a test may hold it back. */
let answer: (path: string) => Promise<number>
afterEach(async () => {
  await world?.crash()
  world = null
})

async function begun(policy = {}): Promise<KeeperWorld> {
  world = new KeeperWorld(policy)
  asked = []
  answer = async () => 200
  world.runtime.onHost = async (_: string, request: HostRequest): Promise<HostResponse> => {
    let text = ''
    for await (const chunk of request.body ?? []) text += Buffer.from(chunk).toString()
    asked.push({ path: request.path, body: JSON.parse(text) })
    const status = await answer(request.path)
    return { status, headers: {}, body: (async function* () {})() }
  }
  await world.begin()
  await world.connect()
  return world
}
const blank = aSpec({ project: 'pool', user: 'pool' })
const warm = (id = 'ses_a') => aDesired(id, { warm: true, spec: blank })
const taken = (spec = aSpec(), id = 'ses_a') => aDesired(id, { spec, touches: 1, idle_timeout_ms: 60_000 })

describe('what has to change', () => {
  const spec = aSpec({ env: { A: '1' } })
  test('nothing when nothing differs', () => {
    expect(lateSettings(spec, aSpec({ env: { A: '1' }, labels: { x: 'y' }, name: 'n' }))).toEqual({
      env: null,
      display: null,
      open: null,
    })
  })
  test('a browser only for another environment; the rest under the living one', () => {
    const wish = aSpec({
      env: { A: '1' },
      display: { width: 800, height: 600 },
      start_url: 'https://x.test/',
      start_url_wait: 'load',
    })
    expect(lateSettings(spec, wish)).toEqual({
      env: null,
      display: { width: 800, height: 600 },
      open: { url: 'https://x.test/', wait: 'load' },
    })
    expect(lateSettings(spec, aSpec({ env: { A: '2' } })).env).toEqual({ A: '2' })
    expect(lateSettings(spec, aSpec({ env: { A: '1' }, headless: true, display: { width: 1, height: 1 } })).display).toBeNull()
  })
  test('everything when nobody knows what it was begun with', () => {
    expect(lateSettings(null, spec)).toEqual({ env: { A: '1' }, display: spec.display, open: null })
  })
})

test('waits for somebody, then is theirs without a word to its host when they want nothing else', async () => {
  const world = await begun()
  await world.wish(warm())
  expect(world.view('ses_a')).toMatchObject({ phase: 'running', warm: 'waiting' })
  expect(world.keeper.access('ses_a')).toMatchObject({ unsettled: true })
  await world.clock.advance(3_600_000)
  await world.wish(taken())
  expect(asked).toEqual([])
  expect(world.view('ses_a')).toMatchObject({ phase: 'running', generation: 1 })
  expect(world.view('ses_a')?.warm).toBeUndefined()
  expect(world.keeper.access('ses_a')).toMatchObject({ unsettled: false, running: true })
  expect(world.runtime.calls).toEqual(['start ses-a-g1'])
  // Its idle time began when it was taken, not when it was started.
  await world.clock.advance(59_000)
  expect(world.view('ses_a')?.phase).toBe('running')
  await world.clock.advance(1_000)
  expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'idle' })
})

test('streams wait until the settings are in force; a relaunch is no start and has no start timeout', async () => {
  const world = await begun()
  await world.wish(warm())
  await world.clock.advance(3_600_000)
  let relaunched!: () => void
  answer = path => (path === '/relaunch' ? new Promise(resolve => (relaunched = () => resolve(200))) : Promise.resolve(200))
  await world.wish(
    taken(aSpec({ env: { LANG: 'de_CH.UTF-8' }, display: { width: 800, height: 600 }, start_url: 'https://x.test/' })),
  )
  const instance = world.runtime.instances.get('ses-a-g1')!
  instance.phase = 'starting'
  world.keeper.wake()
  await settle()
  expect(world.view('ses_a')).toMatchObject({ phase: 'running', warm: 'settling' })
  let open = false
  const waiting = world.keeper.untilSettled('ses_a', new AbortController().signal).then(() => (open = true))
  await settle()
  expect(open).toBe(false)
  relaunched()
  await settle()
  expect(open).toBe(false)
  world.runtime.comeUp('ses-a-g1')
  await waiting
  expect(asked).toEqual([
    { path: '/relaunch', body: { env: { LANG: 'de_CH.UTF-8' } } },
    { path: '/display', body: { width: 800, height: 600 } },
    { path: '/navigate', body: { url: 'https://x.test/', wait: 'none', start: true } },
  ])
})

test('settings that cannot be applied end it with the reason', async () => {
  const world = await begun()
  await world.wish(warm())
  answer = async () => 500
  await world.wish(taken(aSpec({ env: { A: '1' } })))
  expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'failed' })
  expect(world.view('ses_a')?.reason).toContain('/relaunch was refused')
})

test('what this cluster forbids it forbids late too', async () => {
  const world = await begun({ maxDisplay: { width: 1920, height: 1080 } })
  await world.wish(warm())
  await world.wish(taken(aSpec({ display: { width: 3000, height: 2000 } })))
  expect(world.view('ses_a')).toMatchObject({ phase: 'ended', cause: 'failed' })
  expect(asked).toEqual([])
})

test('an agent that restarts in between gives it everything, for it does not know what it had', async () => {
  const world = await begun()
  await world.wish(warm())
  await world.crash()
  world.wishes.set('ses_a', taken(aSpec({ env: { A: '1' } })))
  await world.begin()
  await world.connect()
  expect(asked.map(each => each.path)).toEqual(['/relaunch', '/display'])
  expect(world.view('ses_a')?.warm).toBeUndefined()
  expect(world.runtime.mostAtOnce).toBe(1)
})

describe('room', () => {
  test('a warm one gives way to somebody’s own, and counts only against other warm ones', async () => {
    const world = await begun({ maxSessions: 2 })
    await world.wish(warm('ses_a'), warm('ses_b'))
    await world.wish(warm('ses_c'))
    expect(world.view('ses_c')).toMatchObject({ phase: 'ended', cause: 'failed' })
    await world.wish(aDesired('ses_d'))
    expect(world.view('ses_d')?.phase).toBe('running')
    expect(world.view('ses_b')).toMatchObject({ phase: 'ended', cause: 'stopped' })
    expect(world.view('ses_a')?.phase).toBe('running')
  })
})
