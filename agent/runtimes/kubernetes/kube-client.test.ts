/** How one agent treats an API server that is slow, busy or broken. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeClock } from '#agent/testing/fake-clock.ts'
import { ClusterObjects } from './cluster-objects.ts'
import { createKubeClient, type KubeClient, type KubeRequest } from './kube-client.ts'
import { KubeError } from './kube-error.ts'
import { CannotRun } from './pod-spec.ts'
import { KubeDouble } from './testing/kube-double.ts'

const pods = '/api/v1/namespaces/a/pods'
const get = (name: string, more: Partial<KubeRequest> = {}): KubeRequest => ({
  method: 'GET',
  path: `${pods}/${name}`,
  priority: 'look',
  signal: new AbortController().signal,
  ...more,
})

let double: KubeDouble
let clock: FakeClock
let client: KubeClient
beforeEach(async () => {
  double = await KubeDouble.start()
  clock = new FakeClock()
  client = createKubeClient({ config: double.config, clock, random: () => 0.5 })
})
afterEach(async () => {
  client.close()
  await double.close()
})

/** Lets time pass until the work is over. */
async function passing<T>(work: Promise<T>, stepMs = 250): Promise<T> {
  let over = false
  work.then(
    () => (over = true),
    () => (over = true),
  )
  while (!over) {
    await clock.advance(stepMs)
    await new Promise(resolve => setImmediate(resolve))
  }
  return await work
}
const fault = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error,
  )

describe('patience', () => {
  test.each([[500], [502], [503], [504]])('%i passes by itself', async status => {
    double.put(pods, { metadata: { name: 'one' } })
    double.fail({ on: /pods\/one/, status, times: 3 })
    expect(await passing(client.request(get('one')))).toMatchObject({ metadata: { name: 'one' } })
    expect(double.requests).toHaveLength(4)
  })

  test('ends: what does not pass is told', async () => {
    double.fail({ on: /pods/, status: 503, message: 'etcd is away', times: 1_000 })
    const began = clock.now()
    const error = await fault(passing(client.request(get('one'))))
    expect(error).toMatchObject({ status: 503, message: 'etcd is away' })
    expect(clock.now() - began).toBeLessThan(40_000)
    expect(double.requests.length).toBeLessThan(20)
  })

  test.each([[400], [401], [403], [404], [409], [422]])('%i is an answer, not a failure', async status => {
    double.fail({ on: /pods/, status, reason: 'Word' })
    expect(await fault(passing(client.request(get('one'))))).toMatchObject({ status, reason: 'Word' })
    expect(double.requests).toHaveLength(1)
  })

  test('a server that never answers counts as away', async () => {
    double.fail({ on: /pods/, hang: true })
    const error = await fault(passing(client.request(get('one', { patienceMs: 0 }))))
    expect(error).toBeInstanceOf(KubeError)
    expect(error?.message).toContain('no answer within 15 s')
  })

  test('ends at once when the work is called off', async () => {
    double.fail({ on: /pods/, hang: true })
    const off = new AbortController()
    const arrived = double.arrival(/pods/)
    const work = fault(client.request(get('one', { signal: off.signal })))
    await arrived
    off.abort(new Error('called off'))
    expect(await work).toMatchObject({ message: 'called off' })
  })
})

describe('a server that has too much to do', () => {
  test('429 with Retry-After: all wait, then one of each priority feels the way', async () => {
    for (let n = 0; n < 6; n++) double.put(pods, { metadata: { name: `p${n}` } })
    double.fail({ on: /pods\/p0/, status: 429, retryAfter: 20 })
    await fault(client.request(get('p0', { patienceMs: 0 })))
    const others = [1, 2, 3].map(n => client.request(get(`p${n}`)))
    const ending = client.request(get('p4', { priority: 'end' }))
    const making = client.request(get('p5', { priority: 'make' }))
    const began = clock.now()
    await passing(Promise.all([...others, ending, making]))
    expect(clock.now() - began).toBeGreaterThanOrEqual(20_000)
    expect(double.requests).toHaveLength(6)
    // Ending is what must not wait.
    expect(double.requests[1]).toContain('pods/p4')
  })

  test('no loop of ours asks more than the budget has', async () => {
    double.put(pods, { metadata: { name: 'one' } })
    const asked = Promise.all(Array.from({ length: 100 }, () => client.request(get('one'))))
    await clock.advance(0)
    expect(double.requests.length).toBeLessThanOrEqual(40)
    const began = clock.now()
    await passing(asked, 100)
    expect(clock.now() - began).toBeGreaterThanOrEqual(2_900)
  })
})

describe('objects', () => {
  const mine = { agent: 'us' }
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'one', labels: mine } }
  const signal = new AbortController().signal

  test('an answer that got lost does not make two, nor calls ours foreign', async () => {
    double.fail({ on: /^POST/, status: 500, after: true })
    const objects = new ClusterObjects(client, 'a')
    const { made } = await passing(objects.ensure('pods', object, mine, signal))
    expect([made, double.names(pods)]).toEqual([false, ['one']])
  })

  test('one that vanishes between "exists" and looking is made after all', async () => {
    double.fail({ on: /^POST/, status: 409, reason: 'AlreadyExists' })
    expect((await passing(new ClusterObjects(client, 'a').ensure('pods', object, mine, signal))).made).toBe(true)
  })

  test.each([
    [
      403,
      'pods "a" is forbidden: exceeded quota: sessions, requested: pods=1, used: pods=5, limited: pods=5',
      'the quota "sessions" of namespace a is full (asked for pods=1, used pods=5, limit pods=5): end a session or raise the quota',
    ],
    [403, 'maximum memory usage per Container is 2Gi', 'the cluster refused its pod: maximum memory usage per Container is 2Gi'],
    [422, 'spec.containers: Required', 'the cluster calls its pod wrong: spec.containers: Required'],
    [404, 'namespaces "a" not found', 'namespace a does not exist'],
  ])('%i %s', async (status, message, told) => {
    double.fail({ on: /^POST/, status, message })
    const error = await fault(passing(new ClusterObjects(client, 'a').ensure('pods', object, mine, signal)))
    expect(error).toBeInstanceOf(CannotRun)
    expect(error?.message).toBe(told)
  })
})

test('another clock than ours is noticed', async () => {
  double.put(pods, { metadata: { name: 'one' } })
  await client.request(get('one'))
  expect(Math.abs(client.clockOffset() - (Date.now() - clock.wall()))).toBeLessThan(2_000)
})
