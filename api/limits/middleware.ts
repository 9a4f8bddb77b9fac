/** Refuses what comes too often, and tells everybody how much is left. What a route counts against is declared on the route. */
import type { MiddlewareHandler } from 'hono'
import { type Ctx, tokenActor } from '../context.ts'
import { Problem } from '../problem.ts'
import type { AppEnv } from '../route.ts'
import { giveBack, type Taken, takeFromRate } from './gcra.ts'

/** `project`: the acting project's rate; `login`: the client's address; `guess`: the same, of wrong tries only; `none`: never refused. */
export type Limit = 'project' | 'login' | 'guess' | 'none'

export function rateLimited(limit: Exclude<Limit, 'none'>): MiddlewareHandler<AppEnv> {
  return async function rate_limited(c, next) {
    const taken = await takeAll(c.var.ctx, limit)
    const headers = {
      'ratelimit-limit': String(taken.limit),
      'ratelimit-remaining': String(taken.remaining),
      'ratelimit-reset': String(taken.resetSeconds),
    }
    if (!taken.admitted) {
      throw new Problem('rate_limited', `At most ${taken.limit} a minute. Try again in ${taken.retrySeconds} s.`, {
        headers: { ...headers, 'retry-after': String(Math.max(1, taken.retrySeconds)) },
      })
    }
    await next()
    if (limit === 'guess' && c.res.ok) {
      const { key, perMinute } = bucket(c.var.ctx, limit)
      await giveBack(c.var.ctx.db, key, { perMinute })
    }
    for (const [name, value] of Object.entries(headers)) c.res.headers.set(name, value)
  }
}

/** The token's own rate first: what it refuses costs its project nothing. Told is the one with less left. */
async function takeAll(ctx: Ctx, limit: Exclude<Limit, 'none'>): Promise<Taken> {
  const { actor } = ctx
  const own = limit === 'project' && actor.kind === 'token' ? actor.limits?.requests_per_minute : undefined
  const first = own === undefined ? null : await takeFromRate(ctx.db, `token ${tokenActor(ctx).token}`, { perMinute: own })
  if (first && !first.admitted) return first
  const { key, perMinute } = bucket(ctx, limit)
  const taken = await takeFromRate(ctx.db, key, { perMinute })
  return first && taken.admitted && first.remaining < taken.remaining ? first : taken
}

/** What the acting project's requests are counted under, and its rate. */
export function projectRate(ctx: Ctx): { key: string; perMinute: number } {
  return bucket(ctx, 'project')
}

function bucket(ctx: Ctx, limit: Exclude<Limit, 'none'>): { key: string; perMinute: number } {
  if (limit !== 'project') return { key: `login ${ctx.address}`, perMinute: ctx.config.loginsPerMinute }
  const actor = tokenActor(ctx)
  return { key: `project ${actor.project}`, perMinute: actor.requestsPerMinute ?? ctx.config.requestsPerMinute }
}
