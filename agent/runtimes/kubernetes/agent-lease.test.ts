/** Who acts, when time and the API server misbehave. Two agents on one clock, each counting only what it saw itself. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLog } from '#agent/log.ts'
import { FakeClock } from '#agent/testing/fake-clock.ts'
import { type HeldLease, holdLease, leaseTiming } from './agent-lease.ts'
import { createKubeClient, type KubeClient } from './kube-client.ts'
import { KubeDouble } from './testing/kube-double.ts'

const leases = '/apis/coordination.k8s.io/v1/namespaces/system/leases'
let double: KubeDouble
let clock: FakeClock
let clients: KubeClient[]
let stop: AbortController

beforeEach(async () => {
  double = await KubeDouble.start()
  clock = new FakeClock()
  clients = []
  stop = new AbortController()
})
afterEach(async () => {
  stop.abort()
  for (const client of clients) client.close()
  await double.close()
})

function contend(holder: string, own = clock): { lease: Promise<HeldLease>; held: () => boolean } {
  const client = createKubeClient({ config: double.config, clock: own, random: () => 0.5 })
  clients.push(client)
  let held = false
  const parts = { client, namespace: 'system', name: 'agent', holder, clock: own, log: createLog(() => {}) }
  const lease = holdLease(parts, stop.signal).then(value => {
    held = true
    return value
  })
  lease.catch(() => {})
  return { lease, held: () => held }
}
/** Lets `ms` pass on these clocks in steps, with time for answers to arrive. */
async function pass(ms: number, ...clocks: FakeClock[]): Promise<void> {
  for (let at = 0; at < ms; at += 250) {
    for (const each of clocks.length > 0 ? clocks : [clock]) await each.advance(250)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

describe('the Lease', () => {
  test('held and renewed, it stays with its holder', async () => {
    const a = await contend('a').lease
    const b = contend('b')
    await pass(60_000)
    expect([a.lost.aborted, b.held()]).toEqual([false, false])
    expect(double.get(leases, 'agent')).toMatchObject({
      spec: { holderIdentity: 'a', leaseTransitions: 1, leaseDurationSeconds: 30 },
    })
    await a.release()
  })

  test('a restarted container of the same pod need not wait for itself', async () => {
    await contend('a').lease
    const again = contend('a')
    await again.lease
    expect(again.held()).toBe(true)
  })

  test('a holder that stands still: another takes over, and the first stops before it does anything else', async () => {
    const frozen = new FakeClock()
    const a = await contend('a', frozen).lease
    const b = contend('b')
    await pass(leaseTiming.duration - 3_000)
    expect(b.held()).toBe(false)
    await pass(6_000)
    expect(b.held()).toBe(true)
    // It wakes up, and its time passes at once.
    await frozen.advance(leaseTiming.trust)
    expect(a.lost.aborted).toBe(true)
  })

  test('a holder that cannot renew gives up before anybody may take over', async () => {
    const a = await contend('a').lease
    double.fail({ on: /PUT/, status: 503, times: 1_000 })
    await pass(leaseTiming.trust + 500)
    expect(a.lost.aborted).toBe(true)
    expect(leaseTiming.trust).toBeLessThan(leaseTiming.duration)
  })

  test('short trouble costs nothing, nor does an answer that gets lost', async () => {
    const a = await contend('a').lease
    double.fail({ on: /PUT/, status: 500, times: 1 })
    await pass(leaseTiming.renew + 2_000)
    double.fail({ on: /PUT/, status: 503, after: true })
    await pass(leaseTiming.renew + 3_000)
    await pass(20_000)
    expect(a.lost.aborted).toBe(false)
    await a.release()
  })

  test('taken by force: lost at the next look', async () => {
    const a = await contend('a').lease
    double.change(leases, 'agent', { spec: { holderIdentity: 'z' } })
    await pass(leaseTiming.renew + 1_000)
    expect(a.lost.aborted).toBe(true)
  })

  test('of many at once one', async () => {
    const all = ['a', 'b', 'c', 'd', 'e', 'f'].map(holder => contend(holder))
    await pass(5_000)
    expect(all.filter(each => each.held())).toHaveLength(1)
  })
})
