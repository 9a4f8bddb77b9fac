/** A keeper with everything around it under a test's thumb: fake clock, scripted runtime, state in memory, and lives that may end anywhere. */

import type { DesiredSession, ObservedSession } from '#protocol/session-spec.ts'
import { createLog } from '../log.ts'
import { defaultPolicy, type Policy } from '../policy.ts'
import { AgentMemory } from '../sessions/agent-memory.ts'
import { DesiredState } from '../sessions/desired-state.ts'
import { SessionKeeper } from '../sessions/session-keeper.ts'
import { memoryStore } from './agent-under-test.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { ScriptedRuntime } from './scripted-runtime.ts'

export class KeeperWorld {
  readonly clock = new FakeClock()
  readonly runtime = new ScriptedRuntime()
  readonly store = memoryStore()
  readonly policy: Policy
  readonly lines: string[] = []
  /** What the API wants, as its database would hold it. */
  readonly wishes = new Map<string, DesiredSession>()
  /** Sessions whose streams were told to end. */
  readonly endings: string[] = []
  desired!: DesiredState
  keeper!: SessionKeeper
  memory!: AgentMemory
  private seq = 0
  private life: { stop: AbortController; done: Promise<void> } | null = null

  private readonly restMs: number

  constructor(policy: Partial<Policy> = {}, restMs = 0) {
    this.policy = { ...defaultPolicy, ...policy }
    this.restMs = restMs
    this.runtime.wall = this.clock.wall
  }

  async begin(): Promise<void> {
    const stop = new AbortController()
    this.memory = await AgentMemory.load(this.store, this.clock)
    this.desired = new DesiredState(this.clock)
    this.keeper = new SessionKeeper({
      runtime: this.runtime,
      desired: this.desired,
      memory: this.memory,
      policy: this.policy,
      clock: this.clock,
      log: createLog(line => this.lines.push(line.trim())),
      changed: () => {},
      ending: session => this.endings.push(session),
      restMs: this.restMs,
    })
    this.life = { stop, done: this.keeper.run(stop.signal) }
    await settle()
  }

  /** The process is gone from one moment to the next: nothing it still meant to do happens. */
  async crash(): Promise<void> {
    this.life?.stop.abort()
    await this.life?.done
    this.life = null
  }

  /** A new link: the epoch's first complete snapshot. */
  async connect(): Promise<void> {
    this.desired.beginEpoch()
    await this.snapshot()
  }

  async snapshot(): Promise<void> {
    this.desired.page({ seq: this.seq, items: [...this.wishes.values()], complete: true })
    this.keeper.wake()
    await settle()
  }

  async wish(...items: DesiredSession[]): Promise<void> {
    for (const item of items) this.wishes.set(item.id, item)
    this.desired.delta({ seq: ++this.seq, items })
    this.keeper.wake()
    await settle()
  }

  view(session: string): ObservedSession | undefined {
    return this.keeper.views().get(session)?.item
  }
}
