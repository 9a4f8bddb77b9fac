/** Actions that change nothing but what is remembered: no runtime, no waiting. */
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Policy } from '../policy.ts'
import type { Action } from '../reconcile.ts'
import type { AgentMemory } from './agent-memory.ts'
import type { SessionMemory } from './session-memory.ts'

export interface NoteParts {
  memory: AgentMemory
  policy: Policy
  clock: Clock
  log: Log
  ending: (session: string, reason: string) => void
}

/** False: the action has effects outside and is not dealt with here. */
export function noteAction(parts: NoteParts, action: Action): boolean {
  const { memory, clock, log } = parts
  const { session } = action
  switch (action.do) {
    case 'adopt':
      beginAttempt(parts, memory.of(session, action.generation))
      log.info('session adopted', { session, generation: action.generation })
      return true
    case 'ran':
      memory.of(session, action.generation).runningSince = clock.now()
      log.info('session runs', { session, generation: action.generation })
      return true
    case 'retry': {
      const { generation, at: retryAt, failures, reason } = action
      Object.assign(memory.of(session, generation), { attempt: 0, runningSince: null, retryAt, failures, lastFailure: reason })
      parts.ending(session, reason)
      log.warn('session failed and will be started again', { session, generation, reason })
      return true
    }
    case 'conclude': {
      const { generation, ending } = action
      memory.of(session, generation).ending = ending
      parts.ending(session, ending.reason)
      log.info('session ended', { session, generation, cause: ending.cause, reason: ending.reason })
      return true
    }
    case 'drop':
      memory.sessions.delete(session)
      return true
    default:
      return false
  }
}

/** Counts one more attempt from now on; the cluster's own limit counts from the first. */
export function beginAttempt({ policy, clock }: Pick<NoteParts, 'policy' | 'clock'>, known: SessionMemory): void {
  known.attempt++
  Object.assign(known, { begunAt: clock.now(), ours: true, runningSince: null, retryAt: null } satisfies Partial<SessionMemory>)
  known.capAt ??= policy.maxTtlMs === null ? null : clock.now() + policy.maxTtlMs
}

/** Somebody's from now on: idle time and the cluster's own limit count anew. */
export function settled({ policy, clock }: Pick<NoteParts, 'policy' | 'clock'>, known: SessionMemory): void {
  known.warm = false
  known.warmSpec = null
  known.runningSince = clock.now()
  known.capAt = policy.maxTtlMs === null ? null : clock.now() + policy.maxTtlMs
}
