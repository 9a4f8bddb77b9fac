/**
 * The loop that makes the plan for jobs true, level-triggered like the sessions' keeper: each pass looks at everything anew, one action per job at a
 * time, a failing one is tried again later. It remembers nothing that matters: what was begun is what the runtime shows.
 */
import { attemptName, type DesiredJob, type JobCause } from '#protocol/job-spec.ts'
import { type Clock, within } from '../clock.ts'
import { type Log, whatFailed } from '../log.ts'
import { forbiddenJob, type Policy } from '../policy.ts'
import { type JobInstance, JobRefused, type JobRuntime } from '../runtimes/job-runtime.ts'
import type { DesiredState } from '../sessions/desired-state.ts'
import type { ContextCourier } from './context-courier.ts'
import type { LogShipper } from './log-shipper.ts'
import { type JobView, observedJob } from './observed-job.ts'
import { type JobAction, planJobs } from './plan-jobs.ts'

export interface JobKeeperParts {
  runtime: JobRuntime
  desired: DesiredState
  shipper: LogShipper
  courier: ContextCourier
  policy: Policy
  clock: Clock
  log: Log
  /** There is something new to report. */
  changed: () => void
  /** What runs in the job itself has ended: nobody can be in it any more. */
  over?: (job: string) => void
}

const actionDeadlineMs = 60_000
/** What was told to end is told again after so long, should it not have heard. */
const askAgainMs = 3_000
const retryBaseMs = 1_000
const retryCapMs = 30_000
/** An end waits so long for the last line of its output. */
const logPatienceMs = 15_000

export class JobKeeper {
  private readonly parts: JobKeeperParts
  private instances: readonly JobInstance[] = []
  private looked = false
  private readonly busy = new Set<string>()
  /** Jobs whose action ended while the present pass was looking: what it saw of them may be old. */
  private readonly touched = new Set<string>()
  private readonly pauses = new Map<string, { failures: number; until: number; since: number }>()
  private readonly refused = new Map<string, { cause: JobCause; reason: string }>()
  private readonly known = new Set<string>()
  private readonly undone = new Set<string>()
  private readonly endedAt = new Map<string, number>()
  private readonly askedAt = new Map<string, number>()
  private readonly afterPass = new Set<() => void>()
  private wakeUp: (() => void) | null = null
  private awake = true
  private brake: string | null = null

  constructor(parts: JobKeeperParts) {
    this.parts = parts
  }

  wake = (): void => {
    this.awake = true
    this.wakeUp?.()
  }

  /** Calls back once, after a look around that began from now on. */
  whenSeen(run: () => void): void {
    this.afterPass.add(run)
    this.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, runtime, shipper } = this.parts
    const unwatch = runtime.watch(this.wake)
    signal.addEventListener('abort', this.wake)
    let failures = 0
    try {
      while (!signal.aborted) {
        this.awake = false
        let wait: number | null
        try {
          wait = await this.pass()
          failures = 0
        } catch (error) {
          wait = Math.min(retryCapMs, retryBaseMs * 2 ** failures++)
          log.warn('the jobs cannot be looked at', { error: whatFailed(error), retry_ms: wait })
        }
        await this.nextWake(clock, wait)
      }
    } finally {
      signal.removeEventListener('abort', this.wake)
      unwatch()
      await Promise.all([shipper.close(), this.parts.courier.close()])
    }
  }

  /** Everything the API should hear of jobs. Empty until they were looked at: an unseen job is not a lost one. */
  views(): Map<string, JobView> {
    const views = new Map<string, JobView>()
    const { desired, clock } = this.parts
    if (!this.looked || !desired.complete) return views
    const byJob = Map.groupBy(this.instances, instance => instance.job)
    for (const wanted of desired.jobs.values()) {
      const name = attemptName(wanted.id, wanted.attempt)
      const instances = byJob.get(wanted.id) ?? []
      const mine = instances.find(instance => instance.attempt === wanted.attempt)
      const view = observedJob(
        {
          wanted,
          instances,
          refused: this.refused.get(name) ?? null,
          log: mine ? this.logOf(mine) : 'taken',
          undone: this.undone.has(wanted.id),
          known: this.known.has(name),
        },
        clock.wall(),
      )
      if (view) views.set(wanted.id, view)
    }
    return views
  }

  private logOf(instance: JobInstance): 'taken' | 'late' | 'pending' {
    const { shipper, clock } = this.parts
    if (shipper.taken(instance)) return 'taken'
    return clock.now() - (this.endedAt.get(instance.name) ?? clock.now()) >= logPatienceMs ? 'late' : 'pending'
  }

  private async pass(): Promise<number | null> {
    const { runtime, desired, policy, clock, log } = this.parts
    const waiting = [...this.afterPass]
    this.touched.clear()
    for (const id of this.busy) this.touched.add(id)
    this.see(await runtime.observe())
    if (!desired.complete) return null

    const now = clock.now()
    const plan = planJobs({
      wanted: desired.jobs,
      instances: this.instances,
      isGarbage: id => desired.isGarbage(id),
      settled: name => this.known.has(name) || this.refused.has(name),
      undone: id => this.undone.has(id),
      allowMassDelete: policy.allowMassDelete,
    })
    if (plan.brake && plan.brake !== this.brake) log.error(plan.brake)
    this.brake = plan.brake

    let wakeAt = this.nextLogDeadline(now)
    const due = plan.actions.filter(action => {
      const again = action.do === 'cancel' ? (this.askedAt.get(action.name) ?? Number.NEGATIVE_INFINITY) + askAgainMs : now
      if (again > now) wakeAt = Math.min(wakeAt ?? again, again)
      return again <= now
    })
    for (const [job, actions] of Map.groupBy(due, action => action.job)) {
      const pause = this.pauses.get(job)
      if (this.touched.has(job) || this.busy.has(job)) continue
      if (pause && pause.until > now) wakeAt = Math.min(wakeAt ?? pause.until, pause.until)
      else this.begin(job, actions)
    }
    this.forget()
    for (const run of waiting) if (this.afterPass.delete(run)) run()
    this.parts.changed()
    return wakeAt === null ? null : wakeAt - now
  }

  private see(instances: JobInstance[]): void {
    const { desired, shipper, courier, clock } = this.parts
    this.instances = instances
    this.looked = true
    for (const { job, type, name, phase } of instances) {
      this.known.add(name)
      if (phase !== 'ended' || this.endedAt.has(name)) continue
      this.endedAt.set(name, clock.now())
      if (type === 'run' || type === 'build') this.parts.over?.(job)
    }
    const wanted = (instance: JobInstance): DesiredJob | undefined => {
      const job = desired.jobs.get(instance.job)
      return job?.attempt === instance.attempt && (job.state === 'running' || job.state === 'canceled') ? job : undefined
    }
    if (!desired.complete) return
    courier.follow(instances.filter(instance => instance.awaitsContext && instance.phase === 'running' && wanted(instance)))
    shipper.follow(
      instances.flatMap(instance => {
        const job = wanted(instance)
        return job ? [{ instance, secrets: Object.values(job.secrets ?? {}) }] : []
      }),
    )
  }

  /** When the next end will have waited long enough for its output. */
  private nextLogDeadline(now: number): number | null {
    const due = this.instances
      .filter(instance => instance.phase === 'ended' && !this.parts.shipper.taken(instance))
      .map(instance => (this.endedAt.get(instance.name) ?? now) + logPatienceMs)
      .filter(at => at > now)
    return due.length === 0 ? null : Math.min(...due)
  }

  /** What is wanted no more need not be remembered. */
  private forget(): void {
    const { desired } = this.parts
    const there = new Set(this.instances.map(instance => instance.name))
    const wanted = new Set([...desired.jobs.values()].map(job => attemptName(job.id, job.attempt)))
    for (const names of [this.known, this.refused, this.endedAt, this.askedAt])
      for (const name of names.keys()) if (!there.has(name) && !wanted.has(name)) names.delete(name)
    for (const id of this.undone) if (!desired.jobs.has(id)) this.undone.delete(id)
  }

  private begin(job: string, actions: JobAction[]): void {
    const { clock, log } = this.parts
    this.busy.add(job)
    const work = async () => {
      for (const action of actions) await this.perform(action)
    }
    work()
      .then(() => this.pauses.delete(job))
      .catch(error => {
        const now = clock.now()
        const former = this.pauses.get(job)
        const failures = (former?.failures ?? 0) + 1
        const since = former?.since ?? now
        const wait = Math.min(retryCapMs, retryBaseMs * 2 ** (failures - 1))
        this.pauses.set(job, { failures, until: now + wait, since })
        const [action] = actions
        log.warn('a step failed and will be tried again', { job, step: action?.do, error: whatFailed(error), retry_ms: wait })
        if (action?.do === 'start' && now - since > action.wanted.timeout_ms)
          this.refused.set(action.name, { cause: 'start', reason: `It could not be started: ${whatFailed(error)}` })
      })
      .finally(() => {
        this.busy.delete(job)
        this.touched.add(job)
        this.wake()
      })
  }

  private async perform(action: JobAction): Promise<void> {
    const { runtime, clock, log } = this.parts
    const late = () => new Error(`${action.do} took longer than ${actionDeadlineMs / 1000} s`)
    const timely = <T>(work: Promise<T>) => within(clock, actionDeadlineMs, work, late)
    switch (action.do) {
      case 'start':
        await this.start(action, timely)
        return
      case 'cancel':
        log.info('job is being ended', { job: action.job, name: action.name })
        await timely(runtime.cancel(action.name, action.uid, action.graceMs))
        this.askedAt.set(action.name, clock.now())
        return
      case 'remove':
        await timely(runtime.remove(action.name, action.uid))
        log.info('attempt removed', { job: action.job, name: action.name })
        return
      case 'undo':
        await timely(runtime.undo?.(action.job, action.wanted.spec) ?? Promise.resolve())
        this.undone.add(action.job)
        log.info('what a job made is removed', { job: action.job })
    }
  }

  private async start(
    { name, wanted }: Extract<JobAction, { do: 'start' }>,
    timely: <T>(work: Promise<T>) => Promise<T>,
  ): Promise<void> {
    const { runtime, policy, log } = this.parts
    const spec = wanted.spec!
    try {
      const forbidden = forbiddenJob(policy, spec)
      if (forbidden) throw new JobRefused(forbidden)
      log.info('job starts', { job: wanted.id, attempt: wanted.attempt, type: spec.type })
      await timely(
        runtime.start({
          name,
          job: wanted.id,
          attempt: wanted.attempt,
          project: wanted.project,
          user: wanted.user,
          labels: wanted.labels,
          spec,
          secrets: wanted.secrets ?? {},
          timeoutMs: wanted.timeout_ms,
          graceMs: wanted.grace_ms,
        }),
      )
    } catch (error) {
      if (!(error instanceof JobRefused)) throw error
      this.refused.set(name, { cause: 'refused', reason: error.message })
      log.warn('job is refused', { job: wanted.id, reason: error.message })
    }
  }

  private nextWake(clock: Clock, ms: number | null): Promise<void> {
    if (this.awake) return Promise.resolve()
    return new Promise(resolve => {
      const cancel = ms === null ? () => {} : clock.after(Math.max(0, ms), () => this.wakeUp?.())
      this.wakeUp = () => {
        cancel()
        this.wakeUp = null
        resolve()
      }
    })
  }
}
