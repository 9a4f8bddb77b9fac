/**
 * The heart: (desired, observed, remembered, now) -> what to do next. Pure and level-triggered: it may be asked at any moment, any number of
 * times, and says only the next safe step of each session. Rules it keeps: never two instances of a session; `deleted` and `stopped`
 * win; a generation starts only when nothing of another is left and never again after it ended; garbage only when proven.
 */

import type { SessionSpec } from '#protocol/session-spec.ts'
import { forbiddenSession, type Policy } from './policy.ts'
import { type Instance, instanceName } from './runtimes/runtime.ts'
import type { Wanted } from './sessions/desired-state.ts'
import { type Ending, freshMemory, type SessionMemory } from './sessions/session-memory.ts'

export type Action =
  /** Begin an attempt of a generation: `runtime.start`. */
  | { do: 'start'; session: string; generation: number; name: string; spec: SessionSpec }
  /** End exactly this instance. `ending` is what its generation ends with; null: the generation's fate is already known or of no interest. */
  | { do: 'stop'; session: string; generation: number; name: string; uid: string; graceMs: number; ending: Ending | null }
  /** Nothing (more) of the generation runs: remember how it ended. */
  | { do: 'conclude'; session: string; generation: number; ending: Ending }
  /** The attempt is lost, the next may begin at `at`. */
  | { do: 'retry'; session: string; generation: number; at: number; failures: number; reason: string }
  /** An instance of an earlier life of the agent: ours from now on. */
  | { do: 'adopt'; session: string; generation: number }
  /** First seen running. */
  | { do: 'ran'; session: string; generation: number }
  /** A warm one now belongs to somebody: what `spec` says differently from what it was begun with is to be applied. */
  | { do: 'settle'; session: string; generation: number; name: string; uid: string; spec: SessionSpec }
  /** Remove the files kept for the session. */
  | { do: 'forget'; session: string }
  /** Nobody asks for it and nothing of it is left: let go of the memory. */
  | { do: 'drop'; session: string }

export interface World {
  now: number
  policy: Policy
  wanted: ReadonlyMap<string, Wanted>
  /** Whether what is wanted is known completely in this epoch; false: blind, nothing is started or collected. */
  complete: boolean
  isGarbage: (session: string) => boolean
  instances: readonly Instance[]
  memory: ReadonlyMap<string, SessionMemory>
  /** Newest sign of a person or script, monotonic; null: none known. */
  activeAt: (session: string) => number | null
}

export interface Plan {
  actions: Action[]
  /** When time alone will change the plan. */
  wakeAt: number | null
  /** Why a sweep of garbage was held back; null: it was not. */
  brake: string | null
}

export const reconcileLimits = {
  /** A clean browser exit gets this long. */
  graceMs: 3_000,
  /** An attempt that ran this long wipes out the failures before it. */
  stableMs: 600_000,
  restartBaseMs: 1_000,
  restartCapMs: 60_000,
  /** Failures in a row before `restart: on_failure` gives up. */
  maxFailures: 5,
  /** Attempts that vanished before they ever ran (a crash between two side effects). */
  maxBegun: 3,
  brakeAbove: 5,
} as const

export function reconcile(world: World): Plan {
  const bySession = new Map<string, Instance[]>()
  for (const id of [...world.wanted.keys(), ...world.memory.keys()]) bySession.set(id, [])
  for (const instance of world.instances) {
    const list = bySession.get(instance.session)
    if (list) list.push(instance)
    else bySession.set(instance.session, [instance])
  }

  const garbage = new Set(world.complete ? [...bySession.keys()].filter(world.isGarbage) : [])
  const exists = ([id, instances]: [string, Instance[]]) => instances.length > 0 || !world.memory.get(id)?.forgotten
  const known = garbage.size === 0 ? [] : [...bySession].filter(exists)
  const doomed = known.filter(([id]) => garbage.has(id)).length
  const braked = !world.policy.allowMassDelete && doomed > reconcileLimits.brakeAbove && doomed > known.length / 2
  const brake = braked
    ? `${doomed} of ${known.length} sessions are unknown to the API: not deleting them without the operator's word`
    : null

  const plan: Plan = { actions: [], wakeAt: null, brake }
  const occupied = new Set(world.instances.filter(i => i.phase === 'starting' || i.phase === 'running').map(i => i.session))
  for (const [id, instances] of bySession) {
    const one = new OneSession(world, plan, id, instances, occupied)
    if (world.wanted.has(id)) one.converge(world.wanted.get(id)!)
    else if (garbage.has(id) && !braked) one.collect()
    else one.hold()
  }
  makeRoom(world, plan, occupied)
  return plan
}

/** Warm ones never stand in the way: those beyond the limit go, the newest first. */
function makeRoom({ policy, wanted, instances, memory }: World, plan: Plan, occupied: ReadonlySet<string>): void {
  if (occupied.size <= policy.maxSessions) return
  const staying = [...occupied].filter(id => !memory.get(id)?.ending)
  const surplus = staying.length - policy.maxSessions
  if (surplus <= 0) return
  const ending: Ending = { cause: 'stopped', reason: 'its room was needed' }
  const warm = instances.filter(each => staying.includes(each.session) && wanted.get(each.session)?.warm)
  for (const { session, generation, name, uid } of warm.slice(-surplus))
    plan.actions.push({ do: 'stop', session, generation, name, uid, graceMs: 0, ending })
}

class OneSession {
  private readonly world: World
  private readonly plan: Plan
  private readonly id: string
  private readonly instances: Instance[]
  private readonly occupied: Set<string>
  private readonly memory: SessionMemory | undefined

  constructor(world: World, plan: Plan, id: string, instances: Instance[], occupied: Set<string>) {
    this.world = world
    this.plan = plan
    this.id = id
    this.instances = instances
    this.occupied = occupied
    this.memory = world.memory.get(id)
  }

  converge(wanted: Wanted): void {
    if (wanted.state === 'deleted') {
      this.erase()
      return
    }
    if (wanted.state === 'stopped') {
      this.rest(wanted)
      return
    }
    // Blind (a new epoch without its snapshot yet) or an order from before what is known: keep limits, begin nothing.
    if (!this.world.complete || wanted.generation < (this.memory?.generation ?? 0)) {
      this.hold(wanted)
      return
    }
    this.run(wanted)
  }

  /** Nobody said what should be: only time is enforced. */
  hold(wanted?: Wanted): void {
    const memory = this.memory
    for (const instance of this.live()) {
      if (memory?.generation !== instance.generation) continue
      if (memory.ending) this.stop(instance, null)
      else this.enforceTime(instance, wanted ?? memory, memory)
    }
    // The API has let go of a deleted session: so do we.
    if (!wanted && this.world.complete && memory?.forgotten && this.instances.length === 0)
      this.act({ do: 'drop', session: this.id })
  }

  /** Proven garbage: unknown to the API twice over. */
  collect(): void {
    if (this.instances.length > 0) for (const instance of this.instances) this.stop(instance, null)
    else if (!this.memory?.forgotten) this.act({ do: 'forget', session: this.id })
    else this.act({ do: 'drop', session: this.id })
  }

  private erase(): void {
    if (this.instances.length > 0) for (const instance of this.instances) this.stop(instance, null)
    else if (!this.memory?.forgotten) this.act({ do: 'forget', session: this.id })
  }

  private rest(wanted: Wanted): void {
    const live = this.live()
    const ending: Ending = { cause: 'stopped', reason: 'stopped' }
    for (const instance of live) this.stop(instance, instance.generation === wanted.generation ? ending : null)
    if (live.length > 0 || this.memory?.forgotten) return
    const known = this.memory && this.memory.generation >= wanted.generation && this.memory.ending
    if (!known) this.act({ do: 'conclude', session: this.id, generation: wanted.generation, ending })
  }

  private run(wanted: Wanted): void {
    const { now } = this.world
    const memory = this.memory?.generation === wanted.generation ? this.memory : freshMemory(wanted.generation)
    const others = this.instances.filter(instance => instance.generation !== wanted.generation)
    for (const instance of others) this.stop(instance, null)

    const mine = this.live().filter(instance => instance.generation === wanted.generation)
    const over = this.instances.find(i => i.phase === 'ended' && i.generation === wanted.generation)
    if (memory.ending) {
      for (const instance of mine) this.stop(instance, null)
      return
    }
    for (const instance of mine) {
      if (memory.attempt === 0) this.act({ do: 'adopt', session: this.id, generation: wanted.generation })
      const news = instance.phase === 'running' && memory.runningSince === null
      if (news) this.act({ do: 'ran', session: this.id, generation: wanted.generation })
      if (memory.warm && !wanted.warm && instance.phase === 'running') this.settle(wanted, instance)
      this.enforceTime(instance, wanted, memory)
    }
    if (mine.length > 0) return
    if (over && memory.retryAt === null) {
      this.lost(wanted, memory, over.cause ?? 'failed', over.reason ?? 'its programs ended')
      return
    }
    const deadline = earliest(wanted.deadline, memory.capAt)
    if (deadline !== null && deadline <= now) {
      this.act({ do: 'conclude', session: this.id, generation: wanted.generation, ending: ttlEnding })
      return
    }
    this.wakeBy(deadline)
    if (over) {
      this.stop(over, null)
      return
    }
    if (others.length > 0) return
    if (memory.retryAt !== null) {
      if (memory.retryAt <= now) this.start(wanted)
      else this.wakeBy(memory.retryAt)
    } else if (memory.attempt === 0) {
      this.start(wanted)
    } else if (memory.runningSince !== null) {
      const reason = memory.ours ? 'its instance disappeared' : 'the agent restarted and its sessions ended with it'
      this.lost(wanted, memory, 'failed', reason)
    } else if (memory.attempt < reconcileLimits.maxBegun) {
      this.start(wanted)
    } else {
      this.lost(wanted, memory, 'failed', `it disappeared ${memory.attempt} times while starting`)
    }
  }

  private start(wanted: Wanted): void {
    const { spec, generation } = wanted
    const refusal = this.refusal(wanted)
    if (refusal !== null || !spec) {
      const ending: Ending = { cause: 'failed', reason: refusal ?? '' }
      this.act({ do: 'conclude', session: this.id, generation, ending })
      return
    }
    this.occupied.add(this.id)
    this.act({ do: 'start', session: this.id, generation, name: instanceName(this.id, generation), spec })
  }

  private settle(wanted: Wanted, instance: Instance): void {
    const { spec, generation } = wanted
    if (!spec) return
    const { name, uid } = instance
    const refusal = forbiddenSession(this.world.policy, spec)
    if (refusal === null) this.act({ do: 'settle', session: this.id, generation, name, uid, spec })
    else this.stop(instance, { cause: 'failed', reason: refusal })
  }

  private refusal({ spec, warm }: Wanted): string | null {
    const { policy, wanted } = this.world
    if (!spec) return 'the API sent no specification'
    // Warm ones give way, so they do not count against anybody but other warm ones.
    const others = () => [...this.occupied].filter(id => id !== this.id && (warm || !wanted.get(id)?.warm))
    const full = this.occupied.size >= policy.maxSessions && others().length >= policy.maxSessions
    return full ? `this cluster runs at most ${policy.maxSessions} sessions` : forbiddenSession(policy, spec)
  }

  /** An attempt ended by itself: once more, if the spec says so and it is worth it. */
  private lost(wanted: Wanted, memory: SessionMemory, cause: 'failed' | 'stopped', reason: string): void {
    const { now } = this.world
    const ranWell = memory.runningSince !== null && now - memory.runningSince >= reconcileLimits.stableMs
    const failures = (ranWell ? 0 : memory.failures) + 1
    const { generation } = wanted
    if (cause === 'failed' && wanted.spec?.restart === 'on_failure' && failures <= reconcileLimits.maxFailures) {
      const wait = Math.min(reconcileLimits.restartCapMs, reconcileLimits.restartBaseMs * 2 ** (failures - 1))
      this.act({ do: 'retry', session: this.id, generation, at: now + wait, failures, reason })
    } else {
      this.act({ do: 'conclude', session: this.id, generation, ending: { cause, reason } })
    }
  }

  /** TTL, idle and start deadlines of one live instance. */
  private enforceTime(
    instance: Instance,
    limits: { deadline: number | null; idleTimeoutMs: number | null; spec?: SessionSpec | undefined; touchedAt?: number | null },
    memory: SessionMemory,
  ): void {
    const { now } = this.world
    const deadline = earliest(limits.deadline, memory.capAt)
    if (deadline !== null && deadline <= now) {
      this.stop(instance, ttlEnding)
      return
    }
    this.wakeBy(deadline)

    // A warm one that is launching its browser again for its new owner has started long ago.
    const relaunches = memory.warm && memory.runningSince !== null
    if (instance.phase === 'starting' && limits.spec && memory.attempt > 0 && !relaunches) {
      const latest = memory.begunAt + limits.spec.start_timeout_ms
      if (latest <= now) {
        this.stop(instance, { cause: 'start_timeout', reason: startTimeoutReason(instance, limits.spec) })
        return
      }
      this.wakeBy(latest)
    }
    if (instance.phase === 'running' && limits.idleTimeoutMs !== null && memory.runningSince !== null) {
      const last = Math.max(memory.runningSince, this.world.activeAt(this.id) ?? 0, limits.touchedAt ?? 0)
      const latest = last + limits.idleTimeoutMs
      if (latest <= now) {
        const seconds = Math.round(limits.idleTimeoutMs / 1000)
        this.stop(instance, { cause: 'idle', reason: `nobody used it for ${seconds} s` })
        return
      }
      this.wakeBy(latest)
    }
  }

  private live(): Instance[] {
    return this.instances.filter(instance => instance.phase !== 'ended')
  }

  private stop(instance: Instance, ending: Ending | null): void {
    const graceMs = instance.phase === 'ended' ? 0 : reconcileLimits.graceMs
    const { generation, name, uid } = instance
    this.act({ do: 'stop', session: this.id, generation, name, uid, graceMs, ending })
  }

  private act(action: Action): void {
    this.plan.actions.push(action)
  }

  private wakeBy(at: number | null): void {
    if (at !== null && (this.plan.wakeAt === null || at < this.plan.wakeAt)) this.plan.wakeAt = at
  }
}

const ttlEnding: Ending = { cause: 'ttl', reason: 'its time was over' }

function earliest(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.min(a, b)
}

function startTimeoutReason(instance: Instance, spec: SessionSpec): string {
  const seconds = Math.round(spec.start_timeout_ms / 1000)
  const last = instance.phases.at(-1)
  const where = last ? `it hung after "${last.phase}"` : 'nothing of it came up'
  return `did not start within ${seconds} s: ${where}${instance.reason ? ` (${instance.reason})` : ''}`
}
