/** The runtime against an API server that can be told what to do: what no real cluster does on command. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLog } from '#agent/log.ts'
import { FakeClock } from '#agent/testing/fake-clock.ts'
import { aSpec } from '#agent/testing/session-fixtures.ts'
import type { Instance } from '../runtime.ts'
import { createKubernetesRuntime, type KubernetesRuntime } from './kubernetes-runtime.ts'
import { annotation, label } from './labels.ts'
import { CannotRun } from './pod-spec.ts'
import { kubernetesSettings } from './settings.ts'
import { KubeDouble } from './testing/kube-double.ts'

const space = '/api/v1/namespaces/porthole-sessions'
const pods = `${space}/pods`
const claims = `${space}/persistentvolumeclaims`
const policies = '/apis/networking.k8s.io/v1/namespaces/porthole-sessions/networkpolicies'
const name = 'ses-a-g1'
const spec = aSpec({ headless: true })

let double: KubeDouble
let clock: FakeClock
let runtime: KubernetesRuntime
const wakes = new Set<() => void>()

async function open(environment: Record<string, string> = {}): Promise<KubernetesRuntime> {
  const settings = kubernetesSettings({ PORTHOLE_IMAGE_BROWSER: 'reg/browser:1', PORTHOLE_SELF_TEST: 'off', ...environment })
  const opened = await createKubernetesRuntime({
    settings,
    config: double.config,
    inCluster: true,
    clock,
    random: () => 0.5,
    log: createLog(() => {}),
  })
  opened.watch(() => {
    for (const wake of [...wakes]) wake()
  })
  return opened
}
beforeEach(async () => {
  double = await KubeDouble.start()
  clock = new FakeClock()
  runtime = await open()
})
afterEach(async () => {
  await runtime.close()
  await double.close()
})

function seen(look: (instance: Instance) => boolean): Promise<Instance> {
  return new Promise((resolve, reject) => {
    const check = () => {
      runtime.observe().then(instances => {
        const found = instances.find(look)
        if (found && wakes.delete(check)) resolve(found)
      }, reject)
    }
    wakes.add(check)
    check()
  })
}
async function turn<T>(work: Promise<T>): Promise<T> {
  let over = false
  work.then(
    () => (over = true),
    () => (over = true),
  )
  while (!over) {
    await clock.advance(500)
    await new Promise(resolve => setImmediate(resolve))
  }
  return await work
}
const start = (more = {}) => runtime.start(name, 'ses_a', 1, { ...spec, ...more })
const fault = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error as Error,
  )

describe('making', () => {
  test('walls first, the pod last; then the pod owns its walls', async () => {
    await start()
    const writes = double.requests
      .filter(line => /^(POST|PATCH)/.test(line))
      .map(line => line.replace(/\?.*/, '').split('/').slice(-2).join('/'))
    expect(writes).toEqual(['porthole-sessions/networkpolicies', 'porthole-sessions/pods', `networkpolicies/${name}`])
    const pod = double.get(pods, name)!
    expect(double.get(policies, name)?.metadata.ownerReferences).toMatchObject([{ kind: 'Pod', uid: pod.metadata.uid }])
    expect((await runtime.observe()).map(({ uid, phase }) => [uid, phase])).toEqual([[pod.metadata.uid, 'starting']])
  })

  test('a pod of our name that is not ours is left alone', async () => {
    double.put(pods, { metadata: { name, labels: { app: 'theirs' } } })
    expect(await fault(start())).toBeInstanceOf(CannotRun)
    expect(double.get(pods, name)?.metadata.labels).toEqual({ app: 'theirs' })
    expect(double.names(policies)).toEqual([])
  })

  test('a pod of ours with another wish in it is not taken for this one', async () => {
    await start()
    expect((await fault(start({ env: { OTHER: 'wish' } })))?.message).toContain("is not this session's")
  })

  test('walls that a pod before it owned are made anew: the cluster is about to take the old ones', async () => {
    await start()
    const old = double.get(policies, name)!.metadata.uid
    double.remove(pods, name)
    await start()
    expect(double.get(policies, name)!.metadata.uid).not.toBe(old)
  })

  test('an API server that answers nothing but 429 and 503 for a while makes one pod in the end', async () => {
    double.fail({ on: /^POST .*pods/, status: 503, after: true })
    double.fail({ on: /^POST/, status: 429, retryAfter: 3, times: 3 })
    await turn(start())
    expect([double.names(pods), double.names(policies)]).toEqual([[name], [name]])
  })

  test('where walls are required and not known to stand, only what needs none runs', async () => {
    await runtime.close()
    double.fail({ on: /porthole-probe/, status: 403, times: 100, message: 'no probes' })
    const opening = open({ PORTHOLE_SELF_TEST: 'require' })
    runtime = await turn(opening)
    expect((await fault(start({ egress: { mode: 'public', allow: [] } })))?.message).toMatch(
      /walls around its network: .*could not be tested/,
    )
    await start({ egress: { mode: 'all', allow: [] } })
    // What stood in the way is gone: the test is made again by itself.
    double.heal()
    const probed = double.arrival(/^POST .*\/pods/)
    await turn(probed)
  })
})

describe('seeing', () => {
  test('the next life of the agent finds what is there', async () => {
    await start()
    const { uid } = double.get(pods, name)!.metadata
    await runtime.close()
    runtime = await open()
    expect((await runtime.observe()).map(each => each.uid)).toEqual([uid])
    expect(double.requests.filter(line => line.startsWith('DELETE'))).toEqual([])
  })

  test('what is not this agent’s is not seen', async () => {
    double.put(pods, { metadata: { name: 'other', labels: { [label.agent]: 'another', [label.session]: 'ses_o' } } })
    await start()
    expect((await runtime.observe()).map(each => each.session)).toEqual(['ses_a'])
  })

  test('a pod deleted behind our back ends its session with that reason, until it is forgotten', async () => {
    await start()
    double.change(pods, name, { spec: { nodeName: 'n' }, status: { phase: 'Running' } })
    double.remove(pods, name)
    const over = await seen(each => each.phase === 'ended')
    expect(over).toMatchObject({
      cause: 'failed',
      reason: 'its pod was deleted by somebody else in the cluster, not by Porthole',
      pod: null,
    })
    await runtime.forget('ses_a')
    expect(await runtime.observe()).toEqual([])
    expect(double.names(policies)).toEqual([])
  })

  test('a node that stays silent: its session has failed after five minutes, though nothing happens any more', async () => {
    await start()
    // The cluster's clock counts; the double's is the real one.
    const lastTransitionTime = new Date(Date.now() - 280_000).toISOString()
    const conditions = [{ type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', lastTransitionTime }]
    double.change(pods, name, { spec: { nodeName: 'n' }, status: { phase: 'Running', conditions } })
    await seen(each => each.pod?.node === 'n' && each.phase !== 'ended')
    let woken = 0
    wakes.add(() => woken++)
    await clock.advance(10_000)
    expect(woken).toBe(0)
    await clock.advance(15_000)
    expect(woken).toBe(1)
    expect(await runtime.observe()).toMatchObject([{ phase: 'ended', reason: 'n has not been heard of for 5 minutes' }])
    wakes.clear()
  })

  test('one that was evicted, and then taken away, still says evicted', async () => {
    await start()
    double.change(pods, name, {
      spec: { nodeName: 'n' },
      status: { phase: 'Failed', reason: 'Evicted', message: 'low on memory' },
    })
    double.remove(pods, name)
    expect((await seen(each => each.pod === null)).reason).toBe('evicted from n: low on memory')
  })

  test('hopeless pods are given up, with the reason on them', async () => {
    await start()
    const waiting = { name: 'session', image: 'reg/browser:1', state: { waiting: { reason: 'ErrImageNeverPull' } } }
    const patched = double.arrival(/^PATCH .*pods/)
    double.change(pods, name, { spec: { nodeName: 'n' }, status: { phase: 'Pending', containerStatuses: [waiting] } })
    await seen(each => /not on the node/.test(each.reason ?? ''))
    await patched
    await seen(each => each.phase === 'stopping')
    const pod = double.get(pods, name)!
    expect(pod.metadata.annotations?.[annotation.condemned]).toMatch(/^failed: the image reg\/browser:1 is not on the node/)
    expect(pod).toMatchObject({ spec: { activeDeadlineSeconds: 1 } })
  })

  test('an API server that is away too long: nothing is claimed to be known', async () => {
    await start()
    double.watches.silence()
    double.fail({ on: /^GET/, status: 503, times: 1_000 })
    await clock.advance(100_000)
    expect(await runtime.observe()).toHaveLength(1)
    for (let n = 0; n < 10; n++) await clock.advance(30_000)
    expect((await fault(runtime.observe()))?.message).toMatch(/has not been heard of for \d+ s/)
  })
})

describe('ending', () => {
  const graces = () => double.deletes.filter(each => each.path === `${pods}/${name}`).map(each => each.graceSeconds)

  test('a pod, its walls and its home go; a volume stays and is free', async () => {
    await start({ volume: { id: 'vol_v' } })
    const { uid } = double.get(pods, name)!.metadata
    expect(double.get(claims, 'vol-v')?.metadata.annotations).toEqual({ [annotation.writer]: 'ses_a' })
    await turn(runtime.stop(name, uid, 0))
    await runtime.forget('ses_a')
    expect([double.names(pods), double.names(policies), double.names(claims)]).toEqual([[], [], ['vol-v']])
    expect(double.get(claims, 'vol-v')?.metadata.annotations).toEqual({})
  })

  test('not before the server says that it is gone', async () => {
    await start()
    const { uid } = double.change(pods, name, {
      metadata: { annotations: { 'test/held': 'true' } },
      spec: { nodeName: 'n' },
    }).metadata
    let over = false
    const asked = double.arrival(/^DELETE/)
    const stopping = runtime.stop(name, uid, 1_000).then(() => (over = true))
    await asked
    await clock.advance(10_000)
    expect(over).toBe(false)
    double.remove(pods, name)
    await turn(stopping)
    expect((await runtime.observe()).length).toBe(0)
  })

  test('on a node that is gone nobody ends it: it is taken away by force, and only then', async () => {
    await start()
    const { uid } = double.change(pods, name, {
      metadata: { annotations: { 'test/held': 'true' } },
      spec: { nodeName: 'gone' },
    }).metadata
    await turn(runtime.stop(name, uid, 0))
    // Asked for, reminded, forced.
    expect([graces(), double.names(pods)]).toEqual([[2, 1, 0], []])
    expect(double.requests.some(line => line.includes('/nodes/gone'))).toBe(true)
  })

  const containerEnd = { terminated: { exitCode: 0 } }
  test.each<[string, [string, ...object[]]]>([
    ['every container', ['Running', containerEnd, containerEnd]],
    ['the pod', ['Failed', containerEnd, { waiting: {} }]],
  ])('once %s is told to have ended, nobody waits for the rest', async (_, last) => {
    await start()
    const containers = [{ name: 'session' }, { name: 'app' }]
    const metadata = { annotations: { 'test/held': 'true' } }
    const { uid } = double.change(pods, name, { metadata, spec: { nodeName: 'n', containers } }).metadata
    const asked = double.arrival(/^DELETE/)
    let over = false
    const stopping = runtime.stop(name, uid, 1_000).then(() => (over = true))
    await asked
    const [ended, runs, waits] = [containerEnd, { running: {} }, { waiting: {} }]
    const told = (phase: string, ...states: object[]) =>
      double.change(pods, name, { status: { phase, containerStatuses: states.map(state => ({ state })) } })
    for (const [phase, ...half] of [
      ['Running', ended],
      ['Running', ended, runs],
      ['Running', ended, waits],
      ['Failed', ended, runs],
    ] as const) {
      const looked = double.arrival(/^GET .*\/pods\/ses-a-g1$/)
      told(phase, ...half)
      await turn(looked)
      expect([over, double.names(pods)]).toEqual([false, [name]])
    }
    told(...last)
    // No time passes.
    await stopping
    expect([double.names(pods), double.names(policies)]).toEqual([[], []])
  })

  test('another making of the same name is not touched', async () => {
    await start()
    await turn(runtime.stop(name, 'another-uid', 0))
    expect([double.names(pods), double.names(policies)]).toEqual([[name], [name]])
  })
})

test('capacity is what the namespace’s quota leaves', async () => {
  const hard = { pods: '12', 'limits.cpu': '8', 'limits.memory': '16Gi' }
  double.put(`${space}/resourcequotas`, { metadata: { name: 'q' }, spec: { hard } } as object)
  double.put(`${space}/resourcequotas`, { metadata: { name: 'r' }, spec: { hard: { 'count/pods': '9' } } } as object)
  expect((await runtime.capabilities()).capacity).toEqual({ sessions: 9, cpu_millis: 8000, memory_bytes: 16 * 2 ** 30 })
})
