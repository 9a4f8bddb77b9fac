/** Sessions as pods: fills the Runtime port. The parts do the work; here they meet, and here their lives begin and end. */
import type { KubeConfig } from '@kubernetes/client-node'
import { type Clock, sleep, within } from '#agent/clock.ts'
import { type Log, whatFailed } from '#agent/log.ts'
import { askHost, dialBytes, dialMessages } from '../host-door.ts'
import type { JobRuntime } from '../job-runtime.ts'
import { joinJobRuntimes } from '../job-runtime.ts'
import {
  DialError,
  type Dialled,
  type DialTarget,
  type HostRequest,
  type LogOptions,
  type Runtime,
  type Shell,
  type ShellOrder,
} from '../runtime.ts'
import { clusterCapabilities } from './cluster-capabilities.ts'
import { ClusterObjects } from './cluster-objects.ts'
import { type ProbeResult, probeCluster } from './cluster-probe.ts'
import { RunJobs } from './jobs/run-jobs.ts'
import { createKubeClient, type KubeClient } from './kube-client.ts'
import { annotation, label } from './labels.ts'
import { PodBook } from './pod-book.ts'
import { hostDoor, opened, type PodDialler, podDialler } from './pod-dialler.ts'
import { condemnation, type PodEnding } from './pod-ending.ts'
import { isSilentYet, LastWords, lastLines, podLog } from './pod-logs.ts'
import { containerName, podPorts } from './pod-names.ts'
import { podShell } from './pod-shell.ts'
import { CannotRun } from './pod-spec.ts'
import { makeSession, type Step } from './session-maker.ts'
import { removeLeftovers, removePod, type SessionRemoverParts } from './session-remover.ts'
import type { KubernetesSettings } from './settings.ts'
import { TaskRuntime } from './tasks/task-runtime.ts'
import { VolumeArchives } from './volume-archives.ts'
import type { Pod } from './wire.ts'

export interface KubernetesRuntimeOptions {
  settings: KubernetesSettings
  config: KubeConfig
  inCluster: boolean
  clock: Clock
  random: () => number
  log: Log
  /** Called after each side effect of a start; a test may throw there and go on with another runtime. */
  afterStep?: (step: Step) => void
}

/** One step of ours gives up before the keeper does. */
const stepMs = 55_000
/** What the first look and the first probe may take before we go on without. */
const firstLookMs = 30_000
const lastWordsMs = 3_000
const probeAgainMs = 60_000
const probeAgainCapMs = 600_000

export async function createKubernetesRuntime(options: KubernetesRuntimeOptions): Promise<KubernetesRuntime> {
  const runtime = new KubernetesRuntime(options)
  try {
    await runtime.open()
  } catch (error) {
    await runtime.close()
    throw error
  }
  return runtime
}

export class KubernetesRuntime implements Runtime {
  readonly volumes: VolumeArchives
  readonly jobs: JobRuntime
  private readonly options: KubernetesRuntimeOptions
  private readonly client: KubeClient
  private readonly objects: ClusterObjects
  private readonly dialler: PodDialler
  private readonly book: PodBook
  private readonly lastWords: LastWords
  private readonly life = new AbortController()
  private readonly wakes = new Set<() => void>()
  private readonly making = new Set<string>()
  private readonly condemning = new Set<string>()
  private probe: ProbeResult | null = null
  private background: Promise<unknown> = Promise.resolve()

  constructor(options: KubernetesRuntimeOptions) {
    const { config, settings, inCluster, clock, random, log } = options
    this.options = options
    this.client = createKubeClient({ config, clock, random })
    this.objects = new ClusterObjects(this.client, settings.namespace)
    this.dialler = podDialler(this.client, settings.dial === 'auto' ? (inCluster ? 'pod-ip' : 'port-forward') : settings.dial)
    this.lastWords = new LastWords(this.client)
    this.book = new PodBook({
      client: this.client,
      settings,
      dial: this.dialler,
      clock,
      random,
      log,
      changed: () => {
        for (const wake of [...this.wakes]) wake()
      },
      condemn: (pod, ending) => this.condemn(pod, ending),
      leaving: pod => void this.lastWords.take(sessionOf(pod), pod, this.signalFor(lastWordsMs)),
    })
    const runs = new RunJobs({
      client: this.client,
      objects: this.objects,
      settings,
      dial: this.dialler,
      clock,
      random,
      log,
      wallsMissing: () => this.wallsMissing(),
    })
    const { places, agentName } = settings
    const tasks = () => new TaskRuntime({ client: createKubeClient({ config, clock, random }), agentName, places, clock, log })
    this.jobs = places.length > 0 ? joinJobRuntimes([runs, tasks()]) : runs
    this.volumes = new VolumeArchives({
      objects: this.objects,
      settings,
      clock,
      dial: this.dialler,
      making: this.making,
      life: this.life.signal,
    })
  }

  /** Resolves when all pods have been seen once and the probe is done, or takes too long to wait for. */
  async open(): Promise<void> {
    const { clock, settings } = this.options
    const first = Promise.withResolvers<void>()
    const probing = settings.selfTest === 'off' ? Promise.resolve() : this.probeUntilKnown(first.resolve)
    this.background = Promise.allSettled([this.book.run(this.life.signal), probing.finally(first.resolve)])
    const late = () => new Error('the API server does not answer')
    await within(clock, firstLookMs, this.book.pods.ready, late)
    await within(clock, firstLookMs, first.promise, late).catch(() => {})
  }

  async capabilities() {
    return await clusterCapabilities(this.client, this.options.settings, this.probe, this.signalFor(10_000))
  }

  observe() {
    return this.book.instances()
  }

  watch(wake: () => void): () => void {
    this.wakes.add(wake)
    return () => void this.wakes.delete(wake)
  }

  async start(...[name, session, generation, spec]: Parameters<Runtime['start']>): Promise<void> {
    const { settings, afterStep = () => {} } = this.options
    const missing = spec.egress.mode === 'all' ? null : this.wallsMissing()
    if (missing) throw new CannotRun(missing)
    this.making.add(session)
    try {
      const made = (pod: Pod) => this.book.pods.put(pod)
      const parts = { objects: this.objects, settings, making: this.othersMaking(session), made, after: afterStep }
      await makeSession(parts, { name, session, generation, spec }, this.signalFor(stepMs))
    } finally {
      this.making.delete(session)
    }
  }

  async stop(name: string, uid: string, graceMs: number): Promise<void> {
    const pod = this.book.pods.items.get(uid)
    const signal = this.signalFor(stepMs)
    if (pod) {
      this.lastWords.again(uid)
      const words = this.lastWords.take(sessionOf(pod), pod, this.signalFor(lastWordsMs))
      // A pod on a node that does not answer has nothing to say, and must not wait to be deleted.
      await within(this.options.clock, lastWordsMs, words, () => new Error('late')).catch(() => {})
    }
    await removePod(this.removerParts(), name, uid, graceMs, signal)
  }

  async forget(session: string): Promise<void> {
    await removeLeftovers(this.removerParts(), session, this.signalFor(stepMs))
    this.lastWords.forget(session)
  }

  async dial(session: string, target: DialTarget, signal: AbortSignal): Promise<Dialled> {
    const pod = this.dialable(session)
    const door = hostDoor(this.dialler, pod)
    switch (target.kind) {
      case 'vnc': {
        if (pod.metadata?.annotations?.[annotation.headless] === 'true')
          throw new DialError(404, 'no_display', 'the session is headless: it has no screen')
        return { kind: 'bytes', socket: await opened(this.dialler(pod, podPorts.rfb), 'the screen', signal) }
      }
      case 'port':
        return await dialBytes(door, `/ports/${target.port}`, signal)
      default:
        return await dialMessages(door, `/${target.kind}`, target.headers, signal)
    }
  }

  async exec(session: string, order: ShellOrder, signal: AbortSignal): Promise<Shell> {
    const pod = this.dialable(session)
    const { name, namespace } = pod.metadata!
    const names = pod.spec!.containers.map(container => container.name)
    // Beside a display, an app has a container of its own.
    const container = order.container ?? (names.includes(containerName.app) ? containerName.app : containerName.main)
    if (order.pod !== undefined && order.pod !== name)
      throw new DialError(404, 'not_found', `the session has no pod ${order.pod}`)
    if (!names.includes(container))
      throw new DialError(404, 'not_found', `the session has no container ${container}, only ${names.join(', ')}`)
    return await podShell(this.client, { namespace: namespace!, pod: name!, container }, order, signal)
  }

  async host(session: string, request: HostRequest) {
    return await askHost(hostDoor(this.dialler, this.dialable(session)), request)
  }

  async *logs(session: string, options: LogOptions): AsyncGenerator<Uint8Array> {
    const signal = AbortSignal.any([options.signal, this.life.signal])
    for (;;) {
      const pod = this.book.podsOf(session).at(-1)
      if (!pod) {
        const kept = this.lastWords.of(session)
        if (kept) yield lastLines(kept, options.tailLines)
        return
      }
      const names = (pod.spec?.containers ?? []).map(({ name }) => name)
      if (options.container !== undefined && !names.includes(options.container))
        throw new DialError(404, 'not_found', `the session has no container ${options.container}, only ${names.join(', ')}`)
      try {
        yield* podLog(this.client, pod, { ...options, signal })
        return
      } catch (error) {
        if (signal.aborted) return
        if (!isSilentYet(error)) throw error
        if (!options.follow) return
        await this.change(signal)
      }
    }
  }

  async close(): Promise<void> {
    // Pods outlive the agent: only what is ours ends here.
    this.life.abort(new Error('the agent stops'))
    await Promise.all([this.background, this.jobs.close()])
    this.client.close()
  }

  /** Why nothing with walls around its network may run here; null: it may. */
  private wallsMissing(): string | null {
    if (this.options.settings.selfTest !== 'require' || this.probe?.enforced === true) return null
    return `this cluster runs nothing with walls around its network: ${this.probe?.note ?? 'its test is not done yet'}`
  }

  private dialable(session: string): Pod {
    const pod = this.book.livePod(session)
    if (!pod) throw new DialError(503, 'target_gone', 'the session has no pod that runs')
    return pod
  }

  private condemn(pod: Pod, ending: PodEnding): void {
    const { uid, name } = pod.metadata!
    if (this.condemning.has(uid!)) return
    this.condemning.add(uid!)
    this.objects
      .patch<Pod>(
        'pods',
        name!,
        { ...condemnation(ending), metadata: { uid, ...condemnation(ending).metadata } },
        this.signalFor(stepMs),
      )
      .then(patched => this.book.pods.put(patched))
      .catch(error => this.options.log.warn('a pod could not be given up', { pod: name, error: whatFailed(error) }))
      .finally(() => this.condemning.delete(uid!))
  }

  /** What could not be found out (an image on its way for minutes, a full quota) is tried again, more and more seldom. */
  private async probeUntilKnown(tried: () => void): Promise<void> {
    for (let tries = 1; !this.life.signal.aborted; tries++) {
      await this.runProbe()
      tried()
      if (this.probe === null || this.probe.enforced !== null) return
      await sleep(this.options.clock, Math.min(probeAgainCapMs, probeAgainMs * tries), this.life.signal)
    }
  }

  private async runProbe(): Promise<void> {
    const { settings, config, inCluster, clock, log } = this.options
    const image = settings.images.browser ?? settings.images.desktop ?? settings.images.display
    if (!image) return
    const server = new URL(config.getCurrentCluster()!.server)
    const fallback = { host: server.hostname, port: Number(server.port) || 443 }
    // Pods reach it by the service's address, which the policy must close as well as the real one.
    const apiServer = inCluster ? fallback : ((await this.serviceAddress()) ?? fallback)
    this.probe = await probeCluster({ objects: this.objects, settings, clock, image, apiServer }, this.life.signal)
    log.info(this.probe.note)
  }

  private async serviceAddress(): Promise<{ host: string; port: number } | null> {
    const path = '/api/v1/namespaces/default/services/kubernetes'
    const request = { method: 'GET', path, priority: 'look', signal: this.signalFor(5_000), patienceMs: 0 } as const
    const service = await this.client.request<{ spec?: { clusterIP?: string } }>(request).catch(() => null)
    return service?.spec?.clusterIP ? { host: service.spec.clusterIP, port: 443 } : null
  }

  private removerParts(): SessionRemoverParts {
    const { client, objects, book } = this
    return { client, objects, book, clock: this.options.clock, agent: this.options.settings.agentName }
  }

  private othersMaking(session: string): ReadonlySet<string> {
    return new Set([...this.making].filter(id => id !== session))
  }

  private signalFor(ms: number): AbortSignal {
    return AbortSignal.any([this.life.signal, AbortSignal.timeout(ms)])
  }

  private change(signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        this.wakes.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.wakes.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

function sessionOf(pod: Pod): string {
  return pod.metadata?.labels?.[label.session] ?? ''
}
