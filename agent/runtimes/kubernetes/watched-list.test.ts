/** A list that stays true through everything a watch can suffer, against the double. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLog } from '#agent/log.ts'
import { FakeClock } from '#agent/testing/fake-clock.ts'
import { createKubeClient, type KubeClient } from './kube-client.ts'
import { KubeDouble } from './testing/kube-double.ts'
import { WatchedList, watchTiming } from './watched-list.ts'
import type { Pod } from './wire.ts'

const pods = '/api/v1/namespaces/a/pods'
const listing = /^GET \/api\/v1\/namespaces\/a\/pods\?(?!.*watch=true)/
const watching = /^GET .*watch=true/
const pod = (name: string, n = '0'): Pod => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, annotations: { n } } })

let double: KubeDouble
let clock: FakeClock
let client: KubeClient
let list: WatchedList<Pod>
let life: AbortController
let running: Promise<void>
let news: string[]
const wakes = new Set<() => void>()

beforeEach(async () => {
  double = await KubeDouble.start()
  clock = new FakeClock()
  // No jitter: back-offs are their shortest.
  client = createKubeClient({ config: double.config, clock, random: () => 0 })
  news = []
  list = new WatchedList<Pod>({
    client,
    path: pods,
    selector: {},
    clock,
    random: () => 0,
    log: createLog(() => {}),
    changed: ({ kind, object }) => {
      news.push(`${kind} ${object.metadata!.name} ${object.metadata!.annotations!.n}`)
      for (const wake of [...wakes]) wake()
    },
  })
  life = new AbortController()
})
afterEach(async () => {
  life.abort()
  await running
  client.close()
  await double.close()
})

function heard(what: string): Promise<void> {
  return new Promise(resolve => {
    const check = () => {
      if (news.includes(what) && wakes.delete(check)) resolve()
    }
    wakes.add(check)
    check()
  })
}

async function begin(): Promise<void> {
  const watch = double.arrival(watching)
  running = list.run(life.signal)
  await list.ready
  await watch
}

describe('a watched list', () => {
  test('after a clean end it goes on from where it was: no new list, nothing lost', async () => {
    await begin()
    double.put(pods, pod('one'))
    await heard('set one 0')
    const again = double.arrival(watching)
    double.watches.cut()
    double.put(pods, pod('two'))
    await turn(again)
    await heard('set two 0')
    expect(double.requests.filter(line => listing.test(line))).toHaveLength(1)
  })

  test('410: lists anew at once, and finds what went away unheard', async () => {
    double.put(pods, pod('stays'))
    double.put(pods, pod('goes'))
    await begin()
    double.watches.silence()
    double.remove(pods, 'goes')
    const listed = double.arrival(listing)
    double.watches.speak()
    double.watches.forgetHistory()
    await listed
    await heard('gone goes 0')
    expect([...list.items.values()].map(item => item.metadata?.name)).toEqual(['stays'])
  })

  test('a watch that says nothing for too long is not trusted: what it kept to itself is found', async () => {
    await begin()
    double.watches.silence()
    double.put(pods, pod('unheard'))
    await clock.advance(watchTiming.silence - 1)
    expect(news).toEqual([])
    const listed = double.arrival(listing)
    await clock.advance(1)
    double.watches.speak()
    await turn(listed)
    await heard('set unheard 0')
  })

  test('bookmarks are signs of life', async () => {
    await begin()
    for (let n = 0; n < 3; n++) {
      await clock.advance(watchTiming.silence - 10_000)
      const before = list.heardAt
      double.watches.bookmark()
      while (list.heardAt === before) await new Promise(resolve => setImmediate(resolve))
    }
    expect(double.requests.filter(line => listing.test(line))).toHaveLength(1)
  })

  test.each<[string, () => void]>([
    ['a line that is torn', () => double.watches.cut(true)],
    ['a line that is no JSON', () => double.watches.say('<html>')],
    [
      'an error of the server',
      () => double.watches.say('{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd"}}'),
    ],
  ])('%s: it lists anew, after a pause', async (_, harm) => {
    await begin()
    const listed = double.arrival(listing)
    harm()
    double.put(pods, pod('later'))
    await turn(listed)
    await heard('set later 0')
  })

  test('429 on a list is waited out as long as it asks', async () => {
    double.fail({ on: listing, status: 429, retryAfter: 7 })
    const first = double.arrival(listing)
    running = list.run(life.signal)
    await first
    await clock.advance(6_500)
    expect(double.requests).toHaveLength(1)
    const second = double.arrival(listing)
    await turn(second)
    await list.ready
  })

  test('an own write counts at once, and an older word of the server does not undo it', async () => {
    double.put(pods, pod('mine'))
    await begin()
    double.watches.silence()
    const newer = double.change(pods, 'mine', { metadata: { annotations: { n: '2' } } })
    list.put(newer as Pod)
    expect(list.items.get(newer.metadata.uid)?.metadata?.annotations?.n).toBe('2')
    double.watches.speak()
    const old = { ...newer, metadata: { ...newer.metadata, resourceVersion: '1', annotations: { n: '1' } } }
    double.watches.say(JSON.stringify({ type: 'MODIFIED', object: old }))
    double.put(pods, pod('marker'))
    await heard('set marker 0')
    expect(list.items.get(newer.metadata.uid)?.metadata?.annotations?.n).toBe('2')
  })

  test('what is gone does not come back with a late word about it', async () => {
    const stored = double.put(pods, pod('dead'))
    await begin()
    const told: string[] = []
    list.onNews(stored.metadata.uid, () => told.push(list.items.has(stored.metadata.uid) ? 'changed' : 'gone'))
    list.gone(stored.metadata.uid)
    double.change(pods, 'dead', { metadata: { annotations: { n: '9' } } })
    double.put(pods, pod('marker'))
    await heard('set marker 0')
    expect([list.items.has(stored.metadata.uid), told]).toEqual([false, ['gone']])
  })
})

/** Lets time pass until it happened. */
async function turn(event: Promise<void>): Promise<void> {
  let done = false
  void event.then(() => (done = true))
  while (!done) {
    await clock.advance(500)
    await new Promise(resolve => setImmediate(resolve))
  }
}
