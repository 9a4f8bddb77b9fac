import { describe, expect, test } from 'vitest'
import { defaultPolicy, type Policy } from './policy.ts'
import { type Action, reconcile, reconcileLimits, type World } from './reconcile.ts'
import { type Instance, instanceName } from './runtimes/runtime.ts'
import type { Wanted } from './sessions/desired-state.ts'
import { freshMemory, type SessionMemory } from './sessions/session-memory.ts'
import { aSpec } from './testing/session-fixtures.ts'

const now = 1_000_000
const id = 'ses_a'

function want(overrides: Partial<Wanted> = {}): Wanted {
  return {
    id,
    generation: 1,
    state: 'running',
    spec: aSpec(),
    deadline: null,
    idleTimeoutMs: null,
    touches: 0,
    touchedAt: null,
    warm: false,
    ...overrides,
  }
}
function instance(overrides: Partial<Instance> = {}): Instance {
  const generation = overrides.generation ?? 1
  const session = overrides.session ?? id
  return {
    session,
    generation,
    name: instanceName(session, generation),
    uid: `u${generation}`,
    phase: 'running',
    phases: [],
    activeAt: null,
    display: null,
    versions: {},
    notes: [],
    pod: null,
    ...overrides,
  }
}
/** Of a generation that was begun and has run for a minute. */
function ran(overrides: Partial<SessionMemory> = {}): SessionMemory {
  return { ...freshMemory(1), attempt: 1, begunAt: now - 60_000, runningSince: now - 60_000, ...overrides }
}
const begun = (overrides: Partial<SessionMemory> = {}) => ran({ runningSince: null, ...overrides })

interface Scene {
  wanted?: Wanted | Wanted[] | null
  instances?: Instance[]
  memory?: SessionMemory | Record<string, SessionMemory>
  garbage?: string[]
  complete?: boolean
  policy?: Partial<Policy>
  activeAt?: number
}
function plan(scene: Scene) {
  const wanted = scene.wanted === undefined || scene.wanted === null ? [] : [scene.wanted].flat()
  const memory = scene.memory
    ? 'attempt' in scene.memory
      ? { [id]: scene.memory as SessionMemory }
      : (scene.memory as Record<string, SessionMemory>)
    : {}
  const world: World = {
    now,
    policy: { ...defaultPolicy, ...scene.policy },
    wanted: new Map(wanted.map(item => [item.id, item])),
    complete: scene.complete ?? true,
    isGarbage: session => scene.garbage?.includes(session) ?? false,
    instances: scene.instances ?? [],
    memory: new Map(Object.entries(memory)),
    activeAt: () => scene.activeAt ?? null,
  }
  return reconcile(world)
}
/** `start g1`, `stop g1 ttl`, … */
function words(actions: Action[]): string[] {
  return actions.map(action => {
    const parts: string[] = [action.do]
    if ('generation' in action) parts.push(`g${action.generation}`)
    if ('ending' in action && action.ending) parts.push(action.ending.cause)
    return parts.join(' ')
  })
}

describe('reconcile, case by case', () => {
  const late = { deadline: now - 1 }
  const onFailure = { spec: aSpec({ restart: 'on_failure' }) }
  const died = instance({ phase: 'ended', cause: 'failed', reason: 'chromium crashed' })

  test.each<[string, Scene, string[]]>([
    ['nothing wanted, nothing there', {}, []],
    // -- running
    ['wanted and not there: starts', { wanted: want() }, ['start g1']],
    ['starting: waits', { wanted: want(), instances: [instance({ phase: 'starting' })], memory: begun({ begunAt: now }) }, []],
    ['running for the first time: remembers', { wanted: want(), instances: [instance()], memory: begun() }, ['ran g1']],
    ['running: nothing to do', { wanted: want(), instances: [instance()], memory: ran() }, []],
    ['there without a memory: adopted', { wanted: want(), instances: [instance()] }, ['adopt g1', 'ran g1']],
    ['its programs died: over', { wanted: want(), instances: [died], memory: ran() }, ['conclude g1 failed']],
    [
      'it ended by itself: over',
      { wanted: want(), instances: [instance({ phase: 'ended', cause: 'stopped' })], memory: ran() },
      ['conclude g1 stopped'],
    ],
    ['gone behind our back: over', { wanted: want(), memory: ran() }, ['conclude g1 failed']],
    ['begun, never ran, not there: once more', { wanted: want(), memory: begun() }, ['start g1']],
    ['… but not for ever', { wanted: want(), memory: begun({ attempt: 3 }) }, ['conclude g1 failed']],
    ['ended: never again', { wanted: want(), memory: ran({ ending: { cause: 'idle', reason: '' } }) }, []],
    [
      'ended, its remains stay for their logs',
      { wanted: want(), instances: [died], memory: ran({ ending: { cause: 'failed', reason: '' } }) },
      [],
    ],
    [
      'ending, still there: stopped again',
      { wanted: want(), instances: [instance()], memory: ran({ ending: { cause: 'ttl', reason: '' } }) },
      ['stop g1'],
    ],
    // -- generations
    [
      'another generation is there: it goes first',
      { wanted: want({ generation: 2 }), instances: [instance()], memory: ran() },
      ['stop g1'],
    ],
    [
      '… also while it is only starting',
      { wanted: want({ generation: 2 }), instances: [instance({ phase: 'starting' })], memory: begun() },
      ['stop g1'],
    ],
    ['… and its remains', { wanted: want({ generation: 2 }), instances: [died], memory: ran() }, ['stop g1']],
    [
      'gone: the next starts',
      { wanted: want({ generation: 2 }), memory: ran({ ending: { cause: 'stopped', reason: '' } }) },
      ['start g2'],
    ],
    [
      'two at once (never by us): the old one goes',
      { wanted: want({ generation: 2 }), instances: [instance(), instance({ generation: 2 })], memory: ran({ generation: 2 }) },
      ['stop g1'],
    ],
    [
      'an order from before what is known: nothing',
      { wanted: want(), instances: [instance({ generation: 2 })], memory: ran({ generation: 2 }) },
      [],
    ],
    // -- restart: on_failure
    ['may restart: waits first', { wanted: want(onFailure), instances: [died], memory: ran() }, ['retry g1']],
    [
      'waiting: clears the remains',
      { wanted: want(onFailure), instances: [died], memory: begun({ attempt: 0, retryAt: now + 5, failures: 1 }) },
      ['stop g1'],
    ],
    ['waiting', { wanted: want(onFailure), memory: begun({ attempt: 0, retryAt: now + 5, failures: 1 }) }, []],
    ['waited', { wanted: want(onFailure), memory: begun({ attempt: 0, retryAt: now, failures: 1 }) }, ['start g1']],
    [
      'failed too often: over',
      { wanted: want(onFailure), instances: [died], memory: ran({ failures: reconcileLimits.maxFailures }) },
      ['conclude g1 failed'],
    ],
    [
      '… unless it ran well in between',
      {
        wanted: want(onFailure),
        instances: [died],
        memory: ran({ failures: reconcileLimits.maxFailures, runningSince: now - reconcileLimits.stableMs }),
      },
      ['retry g1'],
    ],
    ['gone may restart too', { wanted: want(onFailure), memory: ran() }, ['retry g1']],
    [
      'ended by itself cleanly: no restart',
      { wanted: want(onFailure), instances: [instance({ phase: 'ended', cause: 'stopped' })], memory: ran() },
      ['conclude g1 stopped'],
    ],
    [
      'never after its time',
      { wanted: want({ ...onFailure, ...late }), memory: begun({ attempt: 0, retryAt: now, failures: 1 }) },
      ['conclude g1 ttl'],
    ],
    ['never after idle', { wanted: want(onFailure), memory: ran({ ending: { cause: 'idle', reason: '' } }) }, []],
    // -- time
    ['its time is over', { wanted: want(late), instances: [instance()], memory: ran() }, ['stop g1 ttl']],
    [
      '… also while starting',
      { wanted: want(late), instances: [instance({ phase: 'starting' })], memory: begun({ begunAt: now }) },
      ['stop g1 ttl'],
    ],
    ['… before it began', { wanted: want(late) }, ['conclude g1 ttl']],
    ['… by the cluster’s own limit', { wanted: want(), instances: [instance()], memory: ran({ capAt: now }) }, ['stop g1 ttl']],
    ['idle', { wanted: want({ idleTimeoutMs: 60_000 }), instances: [instance()], memory: ran() }, ['stop g1 idle']],
    [
      'not idle: someone was there',
      { wanted: want({ idleTimeoutMs: 60_000 }), instances: [instance()], memory: ran(), activeAt: now - 59_999 },
      [],
    ],
    [
      'not idle: touched',
      { wanted: want({ idleTimeoutMs: 60_000, touchedAt: now - 1 }), instances: [instance()], memory: ran() },
      [],
    ],
    [
      'not idle: only starting',
      { wanted: want({ idleTimeoutMs: 1 }), instances: [instance({ phase: 'starting' })], memory: begun({ begunAt: now }) },
      [],
    ],
    [
      'start timeout',
      { wanted: want(), instances: [instance({ phase: 'starting' })], memory: begun() },
      ['stop g1 start_timeout'],
    ],
    // -- stopped, deleted
    ['stopped', { wanted: want({ state: 'stopped' }), instances: [instance()], memory: ran() }, ['stop g1 stopped']],
    ['stopped, gone: remembers', { wanted: want({ state: 'stopped' }), memory: ran() }, ['conclude g1 stopped']],
    ['stopped, known', { wanted: want({ state: 'stopped' }), memory: ran({ ending: { cause: 'failed', reason: '' } }) }, []],
    [
      'stopped under a newer number',
      { wanted: want({ state: 'stopped', generation: 2 }), instances: [instance()], memory: ran() },
      ['stop g1'],
    ],
    [
      'deleted: first the instances, all of them',
      { wanted: want({ state: 'deleted' }), instances: [instance({ phase: 'starting' }), died], memory: ran() },
      ['stop g1', 'stop g1'],
    ],
    ['deleted: then the files', { wanted: want({ state: 'deleted' }), memory: ran() }, ['forget']],
    ['deleted before it ever was', { wanted: want({ state: 'deleted', spec: undefined }) }, ['forget']],
    ['deleted and gone', { wanted: want({ state: 'deleted' }), memory: ran({ forgotten: true }) }, []],
    ['deleted and let go of by the API', { memory: ran({ forgotten: true }) }, ['drop']],
    // -- not (yet) known to the API
    ['unknown, not proven: nothing', { instances: [instance()], memory: ran() }, []],
    ['unknown, but its remembered time is over', { instances: [instance()], memory: ran(late) }, ['stop g1 ttl']],
    ['unknown, remembered idle', { instances: [instance()], memory: ran({ idleTimeoutMs: 1000 }) }, ['stop g1 idle']],
    ['proven garbage', { instances: [instance()], memory: ran(), garbage: [id] }, ['stop g1']],
    ['… then its files', { memory: ran(), garbage: [id] }, ['forget']],
    ['… then its memory', { memory: ran({ forgotten: true }), garbage: [id] }, ['drop']],
    // -- blind
    ['blind: starts nothing', { wanted: want(), complete: false }, []],
    ['blind: collects nothing', { instances: [instance()], garbage: [id], complete: false }, []],
    [
      'blind: no generation is replaced',
      { wanted: want({ generation: 2 }), instances: [instance()], memory: ran(), complete: false },
      [],
    ],
    ['blind: time is kept', { wanted: want(late), instances: [instance()], memory: ran(), complete: false }, ['stop g1 ttl']],
    [
      'blind: stopped stays stopped',
      { wanted: want({ state: 'stopped' }), instances: [instance()], memory: ran(), complete: false },
      ['stop g1 stopped'],
    ],
    // -- the cluster's policy
    ['a kind that is not allowed', { wanted: want(), policy: { kinds: ['desktop'] } }, ['conclude g1 failed']],
    [
      'an image that is not allowed',
      { wanted: want({ spec: aSpec({ image: 'evil:1' }) }), policy: { images: ['good/*'] } },
      ['conclude g1 failed'],
    ],
    [
      'too many',
      { wanted: want(), instances: [instance({ session: 'ses_b' })], memory: { ses_b: ran() }, policy: { maxSessions: 1 } },
      ['conclude g1 failed'],
    ],
  ])('%s', (_, scene, expected) => {
    expect(words(plan(scene).actions)).toEqual(expected)
  })

  test('says which phase hung', () => {
    const phases = [{ phase: 'display_ready', at: 0 }]
    const { actions } = plan({
      wanted: want(),
      instances: [instance({ phase: 'starting', phases, reason: 'waiting for CDP' })],
      memory: begun(),
    })
    expect(actions[0]).toMatchObject({
      ending: { reason: 'did not start within 60 s: it hung after "display_ready" (waiting for CDP)' },
    })
  })

  test('a restart after an agent’s death is told as that', () => {
    const { actions } = plan({ wanted: want(), memory: ran({ ours: false }) })
    expect(actions[0]).toMatchObject({ ending: { reason: expect.stringContaining('agent restarted') } })
  })

  test('wakes when time alone will change something: the earliest of all', () => {
    const other = want({ id: 'ses_b', deadline: now + 500 })
    const scene = { wanted: [want({ deadline: now + 900 }), other], instances: [instance(), instance({ session: 'ses_b' })] }
    expect(plan({ ...scene, memory: { [id]: ran(), ses_b: ran() } }).wakeAt).toBe(now + 500)
    expect(plan({ wanted: want({ idleTimeoutMs: 60_500 }), instances: [instance()], memory: ran() }).wakeAt).toBe(now + 500)
    expect(plan({ wanted: want(onFailure), memory: begun({ attempt: 0, retryAt: now + 7, failures: 1 }) }).wakeAt).toBe(now + 7)
    expect(plan({ wanted: want(), instances: [instance()], memory: ran() }).wakeAt).toBeNull()
  })

  test('back-off doubles up to a minute', () => {
    const waits = [0, 1, 2, 3, 4].map(failures => {
      const [action] = plan({ wanted: want(onFailure), instances: [died], memory: ran({ failures }) }).actions
      return action?.do === 'retry' ? action.at - now : null
    })
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000])
  })

  test('no more than the policy allows start in one pass', () => {
    const wanted = ['ses_a', 'ses_b', 'ses_c'].map(session => want({ id: session }))
    expect(words(plan({ wanted, policy: { maxSessions: 2 } }).actions)).toEqual(['start g1', 'start g1', 'conclude g1 failed'])
  })
})

describe('the brake on mass deletion', () => {
  const ids = Array.from({ length: 10 }, (_, index) => `ses_${index}`)
  const instances = ids.map(session => instance({ session }))
  const memory = Object.fromEntries(ids.map(session => [session, ran()]))

  test('most of many: nothing is deleted, and it says why', () => {
    const held = plan({ instances, memory, garbage: ids.slice(0, 6) })
    expect(held.actions).toEqual([])
    expect(held.brake).toContain('6 of 10')
  })
  test('the operator may allow it', () => {
    expect(plan({ instances, memory, garbage: ids, policy: { allowMassDelete: true } }).actions).toHaveLength(10)
  })
  test('half of them, or a few, are collected', () => {
    expect(plan({ instances, memory, garbage: ids.slice(0, 5) }).actions).toHaveLength(5)
    expect(plan({ instances: instances.slice(0, 4), memory: {}, garbage: ids.slice(0, 4) }).actions).toHaveLength(4)
  })
  test('files of ended sessions count as much as instances', () => {
    expect(plan({ memory, garbage: ids }).brake).not.toBeNull()
  })
})
