/** `run` jobs as pods: fills the job port for one type. What there is comes from a watch; ends and exit codes are the kubelet's word. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '#agent/clock.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import { attemptName, type JobType, type RunSpec } from '#protocol/job-spec.ts'
import type { TerminalJob } from '#protocol/terminal-frames.ts'
import { buildAsRun } from '../../build-script.ts'
import {
  type BuildContext,
  type JobAttempt,
  type JobInstance,
  JobRefused,
  type JobRuntime,
  type LogPiece,
  type LogPosition,
} from '../../job-runtime.ts'
import { DialError, type Shell, type ShellOrder } from '../../runtime.ts'
import type { ClusterObjects } from '../cluster-objects.ts'
import type { KubeClient } from '../kube-client.ts'
import { carries, selectorText } from '../labels.ts'
import { EgressRefused } from '../network-policy.ts'
import type { PodDialler } from '../pod-dialler.ts'
import { condemnation } from '../pod-ending.ts'
import { podShell } from '../pod-shell.ts'
import { CannotRun } from '../pod-spec.ts'
import type { KubernetesSettings } from '../settings.ts'
import { WatchedList } from '../watched-list.ts'
import type { NetworkPolicy, Pod } from '../wire.ts'
import { buildPod, buildResults } from './build-pod.ts'
import { awaitsContext, carryIn, contextAnnotation, contextPort } from './pod-context.ts'
import { podOutput } from './run-logs.ts'
import { attemptLabels, runAnnotation, runContainer, runLabels, runPod, runPolicy } from './run-pod.ts'
import { runState } from './run-status.ts'

export interface RunJobsParts {
  client: KubeClient
  objects: ClusterObjects
  settings: KubernetesSettings
  clock: Clock
  random: () => number
  log: Log
  dial: PodDialler
  /** Why a job behind network walls cannot be made; null: it can. */
  wallsMissing: () => string | null
  capacity?: number
}

const stepMs = 50_000
/** Unheard of for longer than this, what we hold may be wrong. */
const trustMs = 150_000
/** A node that does not end a pod by then is not there any more. */
const deadNodeMs = 60_000

export class RunJobs implements JobRuntime {
  private readonly parts: RunJobsParts
  private readonly pods: WatchedList<Pod>
  private readonly wakes = new Set<() => void>()
  private readonly life = new AbortController()
  /** Attempts that were canceled before a node had them: their pods are gone. */
  private readonly canceled = new Map<string, JobInstance>()
  private readonly condemning = new Set<string>()
  private readonly askedAt = new Map<string, number>()
  private running: Promise<void> | null = null

  constructor(parts: RunJobsParts) {
    this.parts = parts
    const { client, settings, clock, random, log } = parts
    this.pods = new WatchedList<Pod>({
      ...{ client, clock, random, log },
      path: `/api/v1/namespaces/${settings.namespace}/pods`,
      selector: { labelSelector: selectorText(runLabels(settings.agentName)) },
      changed: () => this.wake(),
    })
  }

  async capabilities(): Promise<{ types: JobType[]; capacity: number }> {
    return { types: this.parts.settings.images.builder ? ['run', 'build'] : ['run'], capacity: this.parts.capacity ?? 20 }
  }

  async observe(): Promise<JobInstance[]> {
    this.running ??= this.pods.run(this.life.signal)
    await this.pods.ready
    const silence = this.parts.clock.now() - (this.pods.heardAt ?? 0)
    if (silence > trustMs) throw new Error(`the API server has not been heard of for ${Math.round(silence / 1000)} s`)
    return [...[...this.pods.items.values()].map(pod => this.instance(pod)), ...this.canceled.values()]
  }

  watch(wake: () => void): () => void {
    this.wakes.add(wake)
    return () => void this.wakes.delete(wake)
  }

  async start(given: JobAttempt): Promise<void> {
    const { objects, settings, wallsMissing } = this.parts
    const { attempt, spec, build } = asRun(given, settings)
    const missing = spec.egress.mode === 'all' ? null : wallsMissing()
    if (missing) throw new JobRefused(missing)
    const signal = this.signalFor(stepMs)
    const mine = attemptLabels(settings.agentName, attempt)
    await refusing(async () => {
      const { object: policy } = await objects.ensure<NetworkPolicy>(
        'networkpolicies',
        runPolicy(attempt, spec, settings, isSent(given) ? contextPort : null),
        mine,
        signal,
      )
      const { object: pod } = await objects.ensure<Pod>(
        'pods',
        build ? buildPod(attempt, spec, settings) : runPod(attempt, spec, settings),
        mine,
        signal,
      )
      this.pods.put(pod)
      if (!policy.metadata?.ownerReferences?.length) await this.own(policy, pod, signal)
    })
  }

  /** The kubelet ends it and keeps it, with its output and its end. What no node has yet is simply taken away. */
  async cancel(name: string, uid: string, graceMs: number): Promise<void> {
    const { objects, clock } = this.parts
    const pod = this.pods.items.get(uid)
    if (!pod) return
    const signal = this.signalFor(stepMs)
    const asked = this.askedAt.get(uid)
    const hopeless = asked !== undefined && clock.now() - asked > graceMs + deadNodeMs
    if (!pod.spec?.nodeName || hopeless) {
      const known = this.instance(pod)
      this.canceled.set(name, {
        ...known,
        phase: 'ended',
        outcome: 'canceled',
        cause: 'canceled',
        reason: 'It was canceled.',
        endedAt: clock.wall(),
      })
      await objects.remove('pods', name, uid, signal, 0)
      this.pods.gone(uid)
      return
    }
    if (asked !== undefined) return
    this.askedAt.set(uid, clock.now())
    const patch = {
      metadata: { uid, annotations: { [runAnnotation.canceled]: new Date(clock.wall()).toISOString() } },
      spec: { activeDeadlineSeconds: 1 },
    }
    try {
      this.pods.put(await objects.patch<Pod>('pods', name, patch, signal))
    } catch (error) {
      this.askedAt.delete(uid)
      throw error
    }
  }

  async remove(name: string, uid: string): Promise<void> {
    const { objects, settings } = this.parts
    const signal = this.signalFor(stepMs)
    await objects.remove('pods', name, uid, signal, 0)
    // The cluster takes it along with the pod, unless we died before we could say whose it is.
    const policy = await objects.find<NetworkPolicy>('networkpolicies', name, signal)
    if (policy && carries(policy, runLabels(settings.agentName)))
      await objects.remove('networkpolicies', name, policy.metadata!.uid!, signal)
    this.pods.gone(uid)
    this.canceled.delete(name)
    this.askedAt.delete(uid)
    this.wake()
  }

  async *logs(name: string, uid: string, stream: string, from: LogPosition, signal: AbortSignal): AsyncGenerator<LogPiece> {
    if (stream !== '' || this.canceled.has(name)) return
    const { client, clock, settings } = this.parts
    const ended = () => {
      const pod = this.pods.items.get(uid)
      return !pod || this.instance(pod).phase === 'ended'
    }
    const path = `/api/v1/namespaces/${settings.namespace}/pods/${name}/log`
    yield* podOutput(
      { client, clock, path, container: runContainer, ended, signal: AbortSignal.any([signal, this.life.signal]) },
      from,
    )
  }

  async deliver(name: string, uid: string, context: BuildContext, signal: AbortSignal): Promise<void> {
    const pod = this.pods.items.get(uid)
    if (!pod || !awaitsContext(pod)) return
    await carryIn(this.parts.dial, pod, context, AbortSignal.any([signal, this.life.signal]))
    const body = { metadata: { uid, annotations: { [contextAnnotation]: 'delivered' } } }
    this.pods.put(await this.parts.objects.patch<Pod>('pods', name, body, this.signalFor(stepMs)))
    this.wake()
  }

  async exec(job: string, { attempt }: TerminalJob, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
    const name = attemptName(job, attempt)
    const pod = [...this.pods.items.values()].find(each => each.metadata?.name === name)
    if (pod?.status?.phase !== 'Running') throw new DialError(503, 'target_gone', 'the job has no pod that runs')
    if (order.pod !== undefined && order.pod !== name)
      throw new DialError(404, 'not_found', `the job has no pod ${order.pod}, only ${name}`)
    if (order.container !== undefined && order.container !== runContainer)
      throw new DialError(404, 'not_found', `the job has no container ${order.container}, only ${runContainer}`)
    const { client, settings } = this.parts
    return await podShell(client, { namespace: settings.namespace, pod: name, container: runContainer }, order, signal)
  }

  /** Pods outlive the agent: nothing ends here but the watching. */
  async close(): Promise<void> {
    this.life.abort(new Error('the agent stops'))
    await this.running?.catch(() => {})
  }

  private instance(pod: Pod): JobInstance {
    const { instance, hopeless } = runState(pod, this.parts.client.clockOffset())
    if (hopeless) this.condemn(pod, hopeless)
    return instance
  }

  private condemn(pod: Pod, reason: string): void {
    const { name, uid } = pod.metadata!
    if (this.condemning.has(uid!)) return
    this.condemning.add(uid!)
    const body = condemnation({ cause: 'failed', reason })
    this.parts.objects
      .patch<Pod>('pods', name!, { ...body, metadata: { uid, ...body.metadata } }, this.signalFor(stepMs))
      .then(patched => this.pods.put(patched))
      .catch(error => this.parts.log.warn('a pod could not be given up', { pod: name, error: whatFailed(error) }))
      .finally(() => this.condemning.delete(uid!))
  }

  private async own(policy: NetworkPolicy, pod: Pod, signal: AbortSignal): Promise<void> {
    const { name, uid } = pod.metadata!
    const owner = { apiVersion: 'v1', kind: 'Pod', name: name!, uid: uid! }
    const body = { metadata: { uid: policy.metadata!.uid, ownerReferences: [owner] } }
    await this.parts.objects.patch('networkpolicies', policy.metadata!.name!, body, signal)
  }

  private signalFor(ms: number): AbortSignal {
    return AbortSignal.any([this.life.signal, AbortSignal.timeout(ms)])
  }

  private wake(): void {
    for (const wake of [...this.wakes]) wake()
  }
}

const isSent = ({ spec }: JobAttempt) => spec.type === 'build' && spec.source.upload != null

function asRun(attempt: JobAttempt, settings: KubernetesSettings): { attempt: JobAttempt; spec: RunSpec; build: boolean } {
  const { spec } = attempt
  if (spec.type === 'run') return { attempt, spec, build: false }
  const image = settings.images.builder
  if (spec.type !== 'build' || !image) throw new JobRefused(`${spec.type} is not for pods here`)
  const context = { port: contextPort, key: randomBytes(16).toString('hex') }
  const builder = { image, gitSchemes: settings.gitSchemes, results: buildResults, context }
  return { ...buildAsRun(attempt, spec, builder), build: true }
}

async function refusing(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof CannotRun || error instanceof EgressRefused) throw new JobRefused(error.message)
    throw error
  }
}
