/** What people are told about a pod, as tables: why it is over, why it is not there yet, and what both mean for its session. */
import { describe, expect, test } from 'vitest'
import type { HostStatus } from '../host-status.ts'
import { annotation, label } from './labels.ts'
import { condemnation, podEnding } from './pod-ending.ts'
import { instanceOf, nodeLostMs, type PodFacts, podMeaning } from './pod-status.ts'
import { podTimeline } from './pod-timeline.ts'
import { podWaiting } from './pod-waiting.ts'
import type { ContainerStatus, KubeEvent, Pod } from './wire.ts'

const container = (part: object = {}, name = 'session'): ContainerStatus =>
  ({ name, image: 'img:1', imageID: '', ready: false, restartCount: 0, ...part }) as ContainerStatus
const over = (terminated: object, name = 'session') => container({ state: { terminated: { exitCode: 1, ...terminated } } }, name)
const waits = (waiting: object) => container({ state: { waiting } })

function pod(status: Partial<NonNullable<Pod['status']>> = {}, more: { metadata?: object; spec?: object } = {}): Pod {
  const limits = { memory: String(512 * 2 ** 20) }
  return {
    metadata: {
      name: 'ses-a-g2',
      namespace: 'sessions',
      uid: 'uid-1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { [label.session]: 'ses_a', [label.generation]: '2' },
      ...more.metadata,
    },
    spec: {
      nodeName: 'node-1',
      containers: [
        { name: 'session', resources: { limits } },
        { name: 'app', resources: { limits } },
      ],
      ...more.spec,
    },
    status: { phase: 'Running', ...status },
  } as Pod
}
const event = (reason: string, message = '', time = '2026-01-01T00:00:05Z'): KubeEvent =>
  ({ metadata: { uid: reason }, involvedObject: {}, reason, message, firstTimestamp: time, lastTimestamp: time }) as KubeEvent
const host = (part: Partial<HostStatus> = {}): HostStatus => ({
  seq: 1,
  state: 'ready',
  reason: null,
  cause: null,
  phases: [],
  active_at: null,
  display: { width: 800, height: 600 },
  versions: {},
  notes: [],
  ...part,
})

describe('why a pod is over', () => {
  test.each<[string, Partial<NonNullable<Pod['status']>>, string, string]>([
    [
      'evicted',
      { reason: 'Evicted', message: 'The node was low on resource:  memory.' },
      'failed',
      'evicted from node-1: The node was low on resource: memory.',
    ],
    ['evicted without a word', { reason: 'Evicted' }, 'failed', 'evicted from node-1: the node was short of resources'],
    ['its node went away', { reason: 'NodeLost' }, 'failed', 'node-1 went away: NodeLost'],
    [
      'its node was shut down',
      { reason: 'Terminated', message: 'Pod was terminated in response to imminent node shutdown.' },
      'failed',
      'node-1 went away: Pod was terminated in response to imminent node shutdown.',
    ],
    [
      'the node had no room after all',
      { reason: 'OutOfcpu', message: 'Node had 1, asked 2' },
      'failed',
      'node-1 refused it: Node had 1, asked 2',
    ],
    [
      'out of memory',
      { containerStatuses: [over({ reason: 'OOMKilled', exitCode: 137 })] },
      'failed',
      'out of memory: it used more than its limit of 512 MiB (OOMKilled); ask for more with resources.memory',
    ],
    [
      'the host said why',
      {
        containerStatuses: [
          over({ message: JSON.stringify(host({ state: 'ending', cause: 'stopped', reason: 'the program was closed' })) }),
        ],
      },
      'stopped',
      'the program was closed',
    ],
    [
      'the last wall',
      { reason: 'DeadlineExceeded' },
      'failed',
      'it reached the longest life this cluster allows (activeDeadlineSeconds)',
    ],
    [
      'an app closed by its user',
      { containerStatuses: [over({ exitCode: 137 }), over({ exitCode: 0 }, 'app')] },
      'stopped',
      'the program (img:1) was closed',
    ],
    [
      'an app that crashed',
      { containerStatuses: [over({ exitCode: 139 }, 'app')] },
      'failed',
      'the program (img:1) crashed (segmentation fault)',
    ],
    [
      'an app that says why',
      { containerStatuses: [over({ exitCode: 3, message: 'no\nlicense' }, 'app')] },
      'failed',
      'the program (img:1) exited with code 3: no license',
    ],
    ['killed', { containerStatuses: [over({ exitCode: 137 })] }, 'failed', 'container session was killed (exit code 137)'],
    [
      'a command that is not there',
      { containerStatuses: [over({ reason: 'StartError', exitCode: 128, message: 'exec: "x": no such file' }, 'app')] },
      'failed',
      'the program (img:1) could not be started: exec: "x": no such file',
    ],
    ['nobody knows', {}, 'failed', 'its pod failed without saying why'],
  ])('%s', (_, status, cause, reason) => {
    expect(podEnding(pod({ phase: 'Failed', ...status }))).toEqual({ cause, reason })
  })

  test('not over while something of it runs', () => {
    expect(podEnding(pod({ containerStatuses: [over({})] }))).toBeNull()
  })

  test('what we condemned it with comes before what the kubelet says then', () => {
    const { metadata } = condemnation({ cause: 'failed', reason: 'the image x cannot be pulled' })
    expect(podEnding(pod({ phase: 'Failed', reason: 'DeadlineExceeded' }, { metadata }))).toEqual({
      cause: 'failed',
      reason: 'the image x cannot be pulled',
    })
  })

  test('taken away by the cluster', () => {
    const conditions = [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler', message: 'preempted by x' }]
    expect(podEnding(pod({ phase: 'Failed', conditions } as object))?.reason).toBe('the cluster took it away: preempted by x')
  })
})

describe('why a pod is not there yet', () => {
  const unscheduled = { spec: { nodeName: undefined } }
  test.each<[string, Pod, KubeEvent[], string, boolean]>([
    ['not looked at', pod({ phase: 'Pending' }, unscheduled), [], 'waiting for a node', false],
    [
      'no node',
      pod(
        {
          phase: 'Pending',
          conditions: [{ type: 'PodScheduled', status: 'False', message: '0/3 nodes are available: 3 Insufficient cpu.' }],
        } as object,
        unscheduled,
      ),
      [],
      'no node can take it: 0/3 nodes are available: 3 Insufficient cpu.',
      false,
    ],
    ['pulling', pod({ phase: 'Pending' }), [event('Pulling', 'Pulling image "img:1"')], 'pulling image "img:1"', false],
    [
      'a registry that does not answer may answer later',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ImagePullBackOff', message: 'Back-off pulling image' })] }),
      [event('Failed', 'Failed to pull image "img:1": rpc error: dial tcp: i/o timeout')],
      'the image img:1 cannot be pulled: rpc error: dial tcp: i/o timeout',
      false,
    ],
    [
      'an image that does not exist never will',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ImagePullBackOff', message: 'Back-off pulling image' })] }),
      [event('Failed', 'Failed to pull image "img:1": rpc error: not found')],
      'the image img:1 cannot be pulled: rpc error: not found',
      true,
    ],
    [
      'not on the node',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ErrImageNeverPull' })] }),
      [],
      'the image img:1 is not on the node, and imagePullPolicy Never forbids to fetch it',
      true,
    ],
    [
      'no image name',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'InvalidImageName' })] }),
      [],
      'img:1 is not a valid image name',
      true,
    ],
    [
      'cannot be made',
      pod({
        phase: 'Pending',
        containerStatuses: [
          waits({ reason: 'CreateContainerConfigError', message: 'container has runAsNonRoot and image will run as root' }),
        ],
      }),
      [],
      'container session cannot be made: container has runAsNonRoot and image will run as root',
      true,
    ],
    [
      'a volume that does not come',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ContainerCreating' })] }),
      [event('FailedMount', 'Unable to attach or mount volumes: timed out')],
      'its volume is not ready: Unable to attach or mount volumes: timed out',
      false,
    ],
    [
      'a network that does not come',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ContainerCreating' })] }),
      [event('FailedCreatePodSandBox', 'no free addresses')],
      'its network is not ready: no free addresses',
      false,
    ],
    [
      'being set up',
      pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'ContainerCreating' })] }),
      [],
      'being set up on node-1',
      false,
    ],
  ])('%s', (_, given, events, reason, hopeless) => {
    expect(podWaiting(given, events)).toEqual({ reason, hopeless })
  })
})

describe('what it means for the session', () => {
  const running = [container({ ready: true, state: { running: {} } })]
  const now = Date.parse('2026-01-01T01:00:00Z')
  const facts = (given: Pod, part: Partial<PodFacts> = {}): PodFacts => ({
    pod: given,
    events: [],
    host: null,
    offset: 0,
    now,
    ...part,
  })
  const lost = (ago: number) => ({
    conditions: [
      { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', lastTransitionTime: new Date(now - ago).toISOString() },
    ] as never,
    containerStatuses: running,
  })
  test.each<[string, PodFacts, object]>([
    [
      'runs when its host says so',
      facts(pod({ containerStatuses: running }), { host: host() }),
      { phase: 'running', condemn: null },
    ],
    [
      'starts until then',
      facts(pod({ containerStatuses: running }), { host: host({ state: 'starting', reason: 'Chromium is starting' }) }),
      { phase: 'starting', reason: 'Chromium is starting', condemn: null },
    ],
    [
      'stops when it is being deleted',
      facts(pod({ containerStatuses: running }, { metadata: { deletionTimestamp: 'x' } }), { host: host() }),
      { phase: 'stopping', condemn: null },
    ],
    [
      'its node is silent: nobody knows, and it is shown so',
      facts(pod(lost(60_000)), { host: host() }),
      {
        phase: 'running',
        reason: 'node-1 is not ready: whether the session still runs is not known',
        condemn: null,
        untilMs: nodeLostMs - 60_000,
      },
    ],
    [
      'its node was silent before we came',
      facts(pod(lost(60_000))),
      {
        phase: 'running',
        reason: 'node-1 is not ready: whether the session still runs is not known',
        condemn: null,
        untilMs: nodeLostMs - 60_000,
      },
    ],
    [
      'its node is silent, and the cluster wants it gone: nobody is there to end it',
      facts(pod(lost(60_000), { metadata: { deletionTimestamp: 'x' } }), { host: host() }),
      { phase: 'stopping', condemn: null, untilMs: nodeLostMs - 60_000 },
    ],
    [
      'its node is silent for too long',
      facts(pod(lost(nodeLostMs + 1)), { host: host() }),
      { phase: 'ended', cause: 'failed', reason: 'node-1 has not been heard of for 5 minutes', condemn: null },
    ],
    [
      'half of it ended: the other half must go too',
      facts(pod({ containerStatuses: [...running, over({ exitCode: 0 }, 'app')] }), { host: host() }),
      {
        phase: 'stopping',
        reason: 'the program (img:1) was closed',
        condemn: { cause: 'stopped', reason: 'the program (img:1) was closed' },
      },
    ],
    [
      'hopeless: it is given up with the reason',
      facts(pod({ phase: 'Pending', containerStatuses: [waits({ reason: 'InvalidImageName' })] })),
      {
        phase: 'starting',
        reason: 'img:1 is not a valid image name',
        condemn: { cause: 'failed', reason: 'img:1 is not a valid image name' },
      },
    ],
    [
      'over',
      facts(pod({ phase: 'Failed', reason: 'Evicted' })),
      { phase: 'ended', cause: 'failed', reason: expect.stringContaining('evicted'), condemn: null },
    ],
  ])('%s', (_, given, meaning) => {
    expect(podMeaning(given)).toEqual(meaning)
  })

  test('the node’s clock counts, not ours: half an hour ahead is no silence', () => {
    const ahead = 30 * 60_000
    expect(podMeaning(facts(pod(lost(60_000 - ahead)), { host: host(), offset: ahead })).phase).toBe('running')
  })

  test('names the session, its generation and where its pod is', () => {
    const instance = instanceOf(
      facts(pod({ containerStatuses: running, podIP: '10.1.2.3' }), { host: host({ active_at: 5, notes: ['n'] }) }),
    )
    expect(instance).toMatchObject({
      session: 'ses_a',
      generation: 2,
      name: 'ses-a-g2',
      uid: 'uid-1',
      activeAt: 5,
      notes: ['n'],
      pod: {
        name: 'ses-a-g2',
        namespace: 'sessions',
        node: 'node-1',
        ip: '10.1.2.3',
        containers: [{ name: 'session', state: 'running' }],
      },
    })
  })
})

test('the timeline: the cluster’s stations on our clock, then the host’s own, in order', () => {
  const offset = 10_000
  const given = pod({
    conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: '2026-01-01T00:00:01Z' }] as never,
    containerStatuses: [container({ state: { running: { startedAt: '2026-01-01T00:00:07Z' } } })],
  })
  const events = [event('Pulling', '', '2026-01-01T00:00:02Z'), event('Pulled', '', '2026-01-01T00:00:06Z')]
  const at = (seconds: number) => Date.parse('2026-01-01T00:00:00Z') + seconds * 1000 - offset
  const phases = [
    { phase: 'created', at: at(7) },
    { phase: 'ready', at: at(9) },
  ]
  expect(podTimeline(given, events, host({ phases }), offset)).toEqual([
    { phase: 'created', at: at(0) },
    { phase: 'scheduled', at: at(1) },
    { phase: 'pulling_image', at: at(2) },
    { phase: 'image_ready', at: at(6) },
    { phase: 'container_started', at: at(7) },
    { phase: 'ready', at: at(9) },
  ])
})

test('a condemned pod is ended by the kubelet and kept, with its logs', () => {
  expect(condemnation({ cause: 'failed', reason: 'why' })).toEqual({
    metadata: { annotations: { [annotation.condemned]: 'failed: why' } },
    spec: { activeDeadlineSeconds: 1 },
  })
})
