/** What every verb gets: who acts, through what, and what it may use. `verb(ctx, input)` authorises, does one transaction, returns. */
import type { Db } from '#db/client.ts'
import type { TokenLimits } from '#db/schema.ts'
import type { ApiConfig } from './config.ts'
import type { PendingRate } from './limits/pending.ts'
import type { Log, Services } from './platform.ts'
import { Problem } from './problem.ts'

export const scopes = [
  'sessions:read',
  'sessions:write',
  'sessions:connect',
  'jobs:read',
  'jobs:write',
  'exec',
  'manifests',
  'clusters:read',
  'clusters:admin',
  'tokens',
  'admin',
] as const
export type Scope = (typeof scopes)[number]

/** Who did it, as data. `token` also when a dashboard cookie stands for one. */
export type Actor =
  | {
      kind: 'token'
      token: string
      project: string
      user: string
      scopes: readonly Scope[]
      /** Milliseconds (epoch) at which the token ends; null: never. */
      expiresAt: number | null
      via: 'bearer' | 'cookie'
      /** What the token itself may do at most; absent: as much as its project. */
      limits?: TokenLimits
      /** Networks it may be used from; null or absent: anywhere. */
      allowedCidrs?: string[] | null
      /** The project's own rate limit; null or absent: the installation's. */
      requestsPerMinute?: number | null
    }
  | { kind: 'agent'; agent: string; cluster: string }
  | { kind: 'ticket'; session: string; project: string; user: string; token: string | null; link: string | null }
  | { kind: 'system' }
  | { kind: 'anonymous' }
export type TokenActor = Extract<Actor, { kind: 'token' }>

export interface Ctx extends Services {
  db: Db
  config: ApiConfig
  log: Log
  requestId: string
  /** Scheme and host that users reach the API by, without a trailing slash. */
  origin: string
  actor: Actor
  /** Its rate has still to be asked: a verb that began must be admitted before it writes. Absent: it has been. */
  rate?: PendingRate
  /**
   * For what must only happen once the change is committed: nudges, ended streams, forgotten tokens. A verb calls it after its own
   * `ctx.db.transaction(…)` has returned: `await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))`. It runs at once; or, under an
   * `Idempotency-Key` (where `ctx.db` is the transaction that also holds the key, and the verb's own a savepoint), after the outer commit,
   * when `ctx.db` is outside of it again; never if that rolls back. It does not reject: failures are logged, for the change stands.
   */
  afterCommit: AfterCommit
}

export type AfterCommit = (work: () => Promise<unknown>) => Promise<void>

/** `afterCommit` where no transaction surrounds the verb. */
export function runAtOnce(log: Log): AfterCommit {
  return async function run_at_once(work) {
    try {
      await work()
    } catch (error) {
      log.error('after_commit_failed', { message: error instanceof Error ? error.message : String(error) })
    }
  }
}

export function holds(actor: Actor, scope: Scope): boolean {
  return actor.kind === 'token' && (actor.scopes.includes(scope) || actor.scopes.includes('admin'))
}

/** The acting token; routes declare their scope, so verbs reached over HTTP always have one. */
export function tokenActor(ctx: Ctx): TokenActor {
  if (ctx.actor.kind !== 'token') throw new Problem('unauthorized', 'A token is needed.')
  return ctx.actor
}

/** The project whose rows the actor may touch; null for an admin, who may touch all. Every query carries it. */
export function projectWall(ctx: Ctx): string | null {
  if (ctx.actor.kind === 'ticket') return ctx.actor.project
  const actor = tokenActor(ctx)
  return actor.scopes.includes('admin') ? null : actor.project
}
