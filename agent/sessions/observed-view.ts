/** What the API is told about a session: the instance as it is, coloured by what the agent has decided and remembers. Pure. */

import type { ObservedSession } from '#protocol/session-spec.ts'
import type { Instance } from '../runtimes/runtime.ts'
import type { Wanted } from './desired-state.ts'
import type { SessionMemory } from './session-memory.ts'

export interface SessionFacts {
  id: string
  wanted: Wanted | undefined
  memory: SessionMemory | undefined
  instances: readonly Instance[]
  /** The newest instance ever seen of it: its timeline stays of interest after its end. */
  lastInstance: Instance | undefined
  activeAt: number | null
  /** How much of that is news: it is told in steps. */
  toldActive: number | null
}

export interface View {
  item: ObservedSession
  /** Equal keys say the same thing: ages that merely grew are no news. */
  key: string
}

export function observedView(facts: SessionFacts, now: number, wall: number): View | null {
  const { wanted, memory } = facts
  const state = stateOf(facts)
  if (!state) return null
  const shown = state.instance ?? (facts.lastInstance?.generation === state.generation ? facts.lastInstance : undefined)
  const over = state.phase === 'ended' || state.phase === 'absent'
  const activeAt = newest(facts.activeAt, wanted?.touchedAt ?? null)
  const warm = over || state.phase === 'stopping' ? undefined : warmWord(facts, state.generation)
  const item: ObservedSession = {
    kind: 'session',
    id: facts.id,
    generation: state.generation,
    // Launching its browser again for its new owner is no start: it was told to run, and does.
    phase: warm === 'settling' && memory?.runningSince !== null ? 'running' : state.phase,
    ...(over && memory?.ending && { cause: memory.ending.cause }),
    ...(state.reason && { reason: state.reason }),
    phases: (shown?.phases ?? []).map(({ phase, at }) => ({ phase, age_ms: Math.max(0, wall - at) })),
    idle_ms: activeAt === null ? null : Math.max(0, now - activeAt),
    display: over ? null : (shown?.display ?? null),
    versions: shown?.versions ?? {},
    notes: shown?.notes ?? [],
    pod: over && !state.instance ? null : (shown?.pod ?? null),
    ...(warm && { warm }),
  }
  const stamp = { ...item, phases: shown?.phases ?? [], idle_ms: newest(facts.toldActive, wanted?.touchedAt ?? null) }
  return { item, key: JSON.stringify(stamp) }
}

function warmWord({ wanted, memory }: SessionFacts, generation: number): ObservedSession['warm'] {
  if (wanted?.warm) return 'waiting'
  return memory?.warm && memory.generation === generation ? 'settling' : undefined
}

interface State {
  generation: number
  phase: ObservedSession['phase']
  reason?: string | undefined
  instance?: Instance | undefined
}

function stateOf({ wanted, memory, instances }: SessionFacts): State | null {
  const live = instances.find(instance => instance.phase !== 'ended')
  if (live) {
    const { generation } = live
    const memoryOfIt = memory?.generation === generation ? memory : undefined
    const unwanted = wanted !== undefined && (wanted.state !== 'running' || wanted.generation > generation)
    if (memoryOfIt?.ending || unwanted)
      return { generation, phase: 'stopping', reason: memoryOfIt?.ending?.reason, instance: live }
    return { generation, phase: live.phase, reason: live.reason, instance: live }
  }
  const remains = instances.find(instance => instance.generation === (wanted?.generation ?? memory?.generation))
  if (wanted?.state === 'deleted')
    return { generation: wanted.generation, phase: memory?.forgotten && !remains ? 'absent' : 'stopping' }
  if (memory?.ending && memory.generation >= (wanted?.generation ?? 0))
    return { generation: memory.generation, phase: 'ended', reason: memory.ending.reason, instance: remains }
  if (wanted?.state === 'stopped') return { generation: wanted.generation, phase: 'stopping' }
  if (wanted)
    return {
      generation: wanted.generation,
      phase: 'starting',
      reason: memory?.lastFailure ? `starting again: ${memory.lastFailure}` : undefined,
    }
  return null
}

export function newest(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : Math.max(a, b)
}
