import { describe, expect, it } from 'vitest'
import { type Candidate, type PlacementRequest, place } from './placement.ts'

const capabilities = {
  runtime: 'kubernetes' as const,
  kinds: ['browser', 'desktop'],
  browsers: ['chromium', 'firefox'],
  features: ['display', 'volumes'],
  versions: {},
  notes: [],
  capacity: { sessions: 4, cpu_millis: 4000, memory_bytes: 8 * 1024 ** 3 },
}
function cluster(name: string, change: Partial<Candidate> = {}): Candidate {
  return { id: `clu_${name}`, name, labels: {}, scheduling: 'open', online: true, capabilities, sessions: 0, ...change }
}
const room = (sessions: number) => ({ ...capabilities, capacity: { ...capabilities.capacity, sessions } })
const wish = (change: Partial<PlacementRequest> = {}): PlacementRequest => ({
  kind: 'browser',
  browser: 'chromium',
  features: ['display'],
  limits: {},
  ...change,
})

describe('who gets it', () => {
  it.each<[string, Candidate[], Partial<PlacementRequest>, string]>([
    ['the only one', [cluster('a')], {}, 'clu_a'],
    [
      'the least loaded share',
      [cluster('a', { sessions: 2 }), cluster('b', { sessions: 3, capabilities: room(12) })],
      {},
      'clu_b',
    ],
    ['the one with more room, when shares are equal', [cluster('a'), cluster('b', { capabilities: room(9) })], {}, 'clu_b'],
    ['the first by name, when all is equal', [cluster('b'), cluster('a')], {}, 'clu_a'],
    ['the named one, though it is fuller', [cluster('a'), cluster('b', { sessions: 3 })], { cluster: 'b' }, 'clu_b'],
    ['the named one, by id', [cluster('a'), cluster('b')], { cluster: 'clu_b' }, 'clu_b'],
    [
      'the labelled one',
      [cluster('a'), cluster('b', { labels: { gpu: 'yes', zone: 'x' } })],
      { selector: { gpu: 'yes' } },
      'clu_b',
    ],
    ['not the offline one', [cluster('a', { online: false }), cluster('b', { sessions: 3 })], {}, 'clu_b'],
    ['not the cordoned one', [cluster('a', { scheduling: 'cordoned' }), cluster('b', { sessions: 3 })], {}, 'clu_b'],
    [
      'not one without the browser',
      [cluster('a', { capabilities: { ...capabilities, browsers: [] } }), cluster('b')],
      {},
      'clu_b',
    ],
    [
      'not one that is too small',
      [
        cluster('a', { capabilities: { ...capabilities, capacity: { sessions: 4, cpu_millis: 500, memory_bytes: null } } }),
        cluster('b', { sessions: 3 }),
      ],
      { limits: { cpu_millis: 2000 } },
      'clu_b',
    ],
    [
      'an unmeasured one',
      [cluster('a', { capabilities: { ...capabilities, capacity: { sessions: 4, cpu_millis: null, memory_bytes: null } } })],
      { limits: { cpu_millis: 64_000, memory_bytes: 1e12 } },
      'clu_a',
    ],
  ])('%s', (_, candidates, change, chosen) => expect(place(candidates, wish(change))).toEqual({ cluster: chosen }))
})

describe('who waits, with numbers', () => {
  it.each<[string, Candidate[], Partial<PlacementRequest>, RegExp]>([
    ['no cluster yet', [], {}, /No cluster is registered yet/],
    ['all full', [cluster('a', { sessions: 4 }), cluster('b', { sessions: 5 })], {}, /a 4 of 4 sessions; b 5 of 4 sessions/],
    ['the named one is offline', [cluster('a', { online: false }), cluster('b')], { cluster: 'a' }, /a offline/],
    [
      'room that others wait for already',
      [cluster('a', { sessions: 3, promised: true })],
      {},
      /a 3 of 4 sessions, others wait already/,
    ],
    ['the only able one is draining', [cluster('a', { scheduling: 'draining' })], {}, /a draining/],
    [
      'an agent that never came may have anything',
      [cluster('a', { capabilities: null, online: false })],
      { browser: 'webkit' },
      /never connected/,
    ],
    [
      'unable ones are not counted',
      [cluster('a', { sessions: 4 }), cluster('b', { capabilities: { ...capabilities, kinds: [] } })],
      {},
      /^(?!.*\bb\b).*a 4 of 4/,
    ],
  ])('%s', (_, candidates, change, reason) =>
    expect(place(candidates, wish(change))).toEqual({ queue: expect.stringMatching(reason) }),
  )
})

describe('what can never be', () => {
  it.each<[string, Candidate[], Partial<PlacementRequest>, RegExp]>([
    ['a cluster without the labels', [cluster('a')], { cluster: 'a', selector: { gpu: 'yes' } }, /no cluster "a" with.* gpu=yes/],
    ['labels nobody has', [cluster('a')], { selector: { gpu: 'yes' } }, /gpu=yes/],
    ['a label from the prototype', [cluster('a')], { selector: { constructor: 'x' } }, /constructor=x/],
    ['a browser nobody has', [cluster('a'), cluster('b')], { browser: 'webkit' }, /a has no webkit \(has chromium, firefox\)/],
    ['a kind nobody runs', [cluster('a')], { kind: 'app' }, /runs no sessions of kind app/],
    ['a feature nobody has', [cluster('a')], { features: ['display', 'recording'] }, /lacks recording/],
    ['more than the largest has', [cluster('a')], { limits: { memory_bytes: 16 * 1024 ** 3 } }, /8192 Mi of the 16384 Mi/],
    ['no room at all by design', [cluster('a', { capabilities: room(0) })], {}, /takes no sessions/],
  ])('%s', (_, candidates, change, reason) =>
    expect(place(candidates, wish(change))).toEqual({ never: expect.stringMatching(reason) }),
  )
})

it('does not change what it is given, and names at most five clusters', () => {
  const many = Array.from({ length: 9 }, (_, i) => cluster(`c${9 - i}`, { sessions: 4 }))
  const before = structuredClone(many)
  const placed = place(many, wish())
  expect(many).toEqual(before)
  expect(placed).toEqual({ queue: expect.stringMatching(/and 4 more/) })
})
