/**
 * The loop that makes the plan true. Level-triggered: each pass looks at everything anew, so a lost or doubled wake-up costs nothing.
 * One action per session at a time; a failing one is tried again later and never holds up the others.
 */

import type { SessionSpec } from '#protocol/session-spec.ts'
import { type Clock, sleep, within } from '../clock.ts'
import { type Log, whatFailed } from '../log.ts'
import type { Policy } from '../policy.ts'
import { type Action, reconcile } from '../reconcile.ts'
import type { Instance, Runtime } from '../runtimes/runtime.ts'
import { Activity } from './activity.ts'
import type { AgentMemory } from './agent-memory.ts'
import type { DesiredState } from './desired-state.ts'
import { applyLateSettings, lateSettings } from './late-settings.ts'
import { observedView, type View } from './observed-view.ts'
import { beginAttempt, noteAction, settled } from './session-notes.ts'

export interface SessionKeeperParts {
  runtime: Runtime
  desired: DesiredState
  memory: AgentMemory
  policy: Policy
  clock: Clock
  log: Log
  /** There is something new to report. */
  changed: () => void
  /** The session is being ended: its streams go too. */
  ending: (session: string, reason: string) => void
  /** From one look to the next, at least. */
  restMs: number
}

/** What streams need to know of a session. */
export interface SessionAccess {
  spec: SessionSpec
  generation: number
  running: boolean
  /** Of a pool, or just taken from it: its streams wait until its settings are in force. */
  unsettled: boolean
}

const actionDeadlineMs = 60_000
const retryBaseMs = 1_000
const retryCapMs = 30_000
/** A look costs what there is, so with many sessions the next waits this many times as long as it took, and finds more at once. */
const restPerLook = 8
const longestRestMs = 40

export class SessionKeeper {
  private readonly parts: SessionKeeperParts
  private instances: readonly Instance[] = []
  private readonly lastInstances = new Map<string, Instance>()
  private readonly activity: Activity
  private readonly busy = new Set<string>()
  /** Sessions whose action ended while the present pass was looking: what it saw of them may be old. */
  private readonly touched = new Set<string>()
  private readonly pauses = new Map<string, { failures: number; until: number }>()
  private wakeUp: (() => void) | null = null
  private awake = true
  private brake: string | null = null
  /** What the last look cost, and when it was over. */
  private look = { ms: 0, at: 0 }
  private readonly afterPass = new Set<() => void>()
  private readonly settleWaits = new Set<{ session: string; go: () => void }>()

  constructor(parts: SessionKeeperParts) {
    this.parts = parts
    this.activity = new Activity(parts.clock, () => parts.changed())
  }

  wake = (): void => {
    this.awake = true
    this.wakeUp?.()
  }

  /** Calls back once, after a look around that began from now on: what is told then is not older than what was asked. */
  whenSeen(run: () => void): void {
    this.afterPass.add(run)
    this.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, runtime } = this.parts
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
          log.warn('the sessions cannot be looked at', { error: whatFailed(error), retry_ms: wait })
        }
        await this.nextWake(clock, wait)
        const rest = this.look.at + Math.max(this.parts.restMs, Math.min(longestRestMs, this.look.ms * restPerLook)) - clock.now()
        if (rest >= 1) await sleep(clock, rest, signal)
      }
    } finally {
      signal.removeEventListener('abort', this.wake)
      unwatch()
      this.activity.close()
    }
  }

  /** A person or script did something in the session just now. */
  markActivity(session: string): void {
    this.activity.mark(session)
  }

  access(session: string): SessionAccess | null {
    const wanted = this.parts.desired.wanted.get(session)
    if (!wanted?.spec || wanted.state === 'deleted') return null
    const memory = this.parts.memory.sessions.get(session)
    const instance = this.instances.find(i => i.session === session && i.generation === wanted.generation)
    const ending = memory?.generation === wanted.generation && memory.ending !== null
    return {
      spec: wanted.spec,
      generation: wanted.generation,
      running: instance?.phase === 'running' && wanted.state === 'running' && !ending,
      unsettled:
        wanted.state === 'running' && !ending && (wanted.warm || (memory?.generation === wanted.generation && memory.warm)),
    }
  }

  /** Resolves when nothing holds up the session's streams any more, or the signal aborts. */
  async untilSettled(session: string, signal: AbortSignal): Promise<void> {
    if (!this.access(session)?.unsettled || signal.aborted) return
    await new Promise<void>(resolve => {
      const wait = { session, go: resolve }
      const leave = () => {
        this.settleWaits.delete(wait)
        resolve()
      }
      wait.go = () => {
        signal.removeEventListener('abort', leave)
        leave()
      }
      signal.addEventListener('abort', leave, { once: true })
      this.settleWaits.add(wait)
    })
  }

  /** Everything there is, for a report. */
  views(): Map<string, View> {
    const { desired, memory, clock } = this.parts
    const bySession = Map.groupBy(this.instances, instance => instance.session)
    const views = new Map<string, View>()
    for (const id of new Set([...desired.wanted.keys(), ...memory.sessions.keys(), ...bySession.keys()])) {
      const view = observedView(
        {
          id,
          wanted: desired.wanted.get(id),
          memory: memory.sessions.get(id),
          instances: bySession.get(id) ?? [],
          lastInstance: this.lastInstances.get(id),
          activeAt: this.activity.at(id),
          toldActive: this.activity.told(id),
        },
        clock.now(),
        clock.wall(),
      )
      if (view) views.set(id, view)
    }
    return views
  }

  get liveSessions(): number {
    return new Set(this.instances.filter(instance => instance.phase !== 'ended').map(instance => instance.session)).size
  }

  private async pass(): Promise<number | null> {
    const { runtime, desired, memory, policy, clock, log } = this.parts
    const waiting = [...this.afterPass]
    this.touched.clear()
    for (const id of this.busy) this.touched.add(id)
    this.see(await runtime.observe())

    const now = clock.now()
    const plan = reconcile({
      now,
      policy,
      wanted: desired.wanted,
      complete: desired.complete,
      isGarbage: id => desired.isGarbage(id),
      instances: this.instances,
      memory: memory.sessions,
      activeAt: id => this.activity.at(id),
    })
    if (plan.brake && plan.brake !== this.brake) log.error(plan.brake)
    this.brake = plan.brake

    let wakeAt = plan.wakeAt
    for (const [session, actions] of Map.groupBy(plan.actions, action => action.session)) {
      const pause = this.pauses.get(session)
      if (this.touched.has(session) || this.busy.has(session)) continue
      if (pause && pause.until > now) wakeAt = wakeAt === null ? pause.until : Math.min(wakeAt, pause.until)
      else this.begin(session, actions)
    }
    this.keepLimits()
    for (const wait of [...this.settleWaits]) if (!this.access(wait.session)?.unsettled) wait.go()
    for (const run of waiting) if (this.afterPass.delete(run)) run()
    this.parts.changed()
    this.look = { ms: clock.now() - now, at: clock.now() }
    return wakeAt === null ? null : wakeAt - now
  }

  /** Runs a session's actions one after the other; the next pass waits for none of them. */
  private begin(session: string, actions: Action[]): void {
    const { log, clock, memory } = this.parts
    const effects = actions.filter(action => !noteAction(this.parts, action))
    if (actions.some(action => action.do === 'drop')) this.letGo(session)
    if (effects.length < actions.length) {
      memory.save().catch(error => log.error('the memory cannot be written', { error: whatFailed(error) }))
      this.wake()
    }
    if (effects.length === 0) return
    this.busy.add(session)
    const work = async () => {
      for (const action of effects) await this.perform(action)
    }
    work()
      .then(() => this.pauses.delete(session))
      .catch(error => {
        const failures = (this.pauses.get(session)?.failures ?? 0) + 1
        const wait = Math.min(retryCapMs, retryBaseMs * 2 ** (failures - 1))
        this.pauses.set(session, { failures, until: clock.now() + wait })
        log.warn('a step failed and will be tried again', {
          session,
          step: effects[0]?.do,
          error: whatFailed(error),
          retry_ms: Math.round(wait),
        })
      })
      .finally(() => {
        this.busy.delete(session)
        this.touched.add(session)
        this.wake()
      })
  }

  private async perform(action: Action): Promise<void> {
    const { memory, runtime, clock, log } = this.parts
    const { session } = action
    const late = () => new Error(`${action.do} took longer than ${actionDeadlineMs / 1000} s`)
    switch (action.do) {
      case 'start': {
        const known = memory.of(session, action.generation)
        beginAttempt(this.parts, known)
        known.warm = this.parts.desired.wanted.get(session)?.warm === true
        known.warmSpec = known.warm ? action.spec : null
        // Begun is on disk before anything exists: a crash in between must not lead to a second life of a generation that ran.
        await memory.save().catch(error => {
          known.attempt--
          throw error
        })
        log.info('session starts', { session, generation: action.generation, attempt: known.attempt })
        try {
          await within(
            clock,
            Math.min(actionDeadlineMs, action.spec.start_timeout_ms),
            runtime.start(action.name, session, action.generation, action.spec),
            late,
          )
        } catch (error) {
          known.ending ??= { cause: 'failed', reason: whatFailed(error) }
          this.parts.ending(session, known.ending.reason)
          log.warn('session cannot be started', { session, generation: action.generation, reason: known.ending.reason })
          await memory.save()
        }
        return
      }
      case 'settle': {
        const known = memory.of(session, action.generation)
        const settings = lateSettings(known.warmSpec, action.spec)
        const deadline = new AbortController()
        try {
          const applied = applyLateSettings(runtime, session, settings, deadline.signal)
          await within(clock, actionDeadlineMs, applied, late)
        } catch (error) {
          deadline.abort(error)
          known.ending ??= { cause: 'failed', reason: `its settings could not be applied: ${whatFailed(error)}` }
          log.warn('a warm session could not be given its settings', { session, error: whatFailed(error) })
          return
        }
        settled(this.parts, known)
        log.info('a warm session was taken', { session, relaunched: settings.env !== null })
        memory.save().catch(error => log.error('the memory cannot be written', { error: whatFailed(error) }))
        return
      }
      case 'stop': {
        if (action.ending) {
          const known = memory.of(session, action.generation)
          known.ending ??= action.ending
          log.info('session is being ended', {
            session,
            generation: action.generation,
            cause: action.ending.cause,
            reason: action.ending.reason,
          })
          // The decision must hold for the next life too; but a full disk may not keep anything alive.
          await memory.save().catch(error => log.error('the memory cannot be written', { error: whatFailed(error) }))
        }
        this.parts.changed()
        this.parts.ending(session, action.ending?.reason ?? 'session ended')
        await within(clock, actionDeadlineMs, runtime.stop(action.name, action.uid, action.graceMs), late)
        return
      }
      case 'forget': {
        await within(clock, actionDeadlineMs, runtime.forget(session), late)
        const generation = this.parts.desired.wanted.get(session)?.generation ?? memory.sessions.get(session)?.generation ?? 1
        memory.of(session, generation).forgotten = true
        await memory.save()
        log.info('session removed', { session })
        return
      }
    }
  }

  private see(instances: Instance[]): void {
    this.instances = instances
    for (const instance of instances) {
      const last = this.lastInstances.get(instance.session)
      if (!last || last.generation <= instance.generation) this.lastInstances.set(instance.session, instance)
      this.activity.see(instance)
    }
  }

  private letGo(session: string): void {
    this.lastInstances.delete(session)
    this.activity.forget(session)
    this.pauses.delete(session)
  }

  /** Limits are remembered so that a next life enforces them even before anyone has told it anything. */
  private keepLimits(): void {
    const { desired, memory, log } = this.parts
    let news = false
    for (const [id, known] of memory.sessions) {
      const wanted = desired.wanted.get(id)
      if (!wanted || wanted.generation !== known.generation) continue
      const moved =
        known.deadline === null || wanted.deadline === null
          ? known.deadline !== wanted.deadline
          : Math.abs(known.deadline - wanted.deadline) > 1000
      if (!moved && known.idleTimeoutMs === wanted.idleTimeoutMs) continue
      known.deadline = wanted.deadline
      known.idleTimeoutMs = wanted.idleTimeoutMs
      news = true
    }
    if (news) memory.save().catch(error => log.error('the memory cannot be written', { error: whatFailed(error) }))
  }

  private nextWake(clock: Clock, ms: number | null): Promise<void> {
    if (this.awake) return Promise.resolve()
    return new Promise(resolve => {
      const cancel = ms === null ? () => {} : clock.after(ms, () => this.wakeUp?.())
      this.wakeUp = () => {
        cancel()
        this.wakeUp = null
        resolve()
      }
    })
  }
}
