/** Refuses what comes too often, and tells everybody how much is left. What a route counts against is declared on the route. */
import type { MiddlewareHandler } from 'hono'
import { type Ctx, tokenActor } from '../context.ts'
import type { AppEnv } from '../route.ts'
import { giveBack, type Taken, takeFromRate } from './gcra.ts'
import { headersOf, PendingRate, refuseOver } from './pending.ts'

/** `project`: the acting project's rate; `login`: the client's address; `guess`: the same, of wrong tries only; `none`: never refused. */
export type Limit = 'project' | 'login' | 'guess' | 'none'

/**
 * `early`: the verb asks its rate itself, by its first statement or beside that (`ctx.rate`), and waits for it before it writes anything. Only where the
 * rate has had plenty left lately, so that hardly anybody who is refused has begun; where nobody else asks it, for then it has its connection before the
 * verb's transaction holds one; and not under an `Idempotency-Key`, which would keep the refusal as its answer.
 */
export function rateLimited(limit: Exclude<Limit, 'none'>, early = false): MiddlewareHandler<AppEnv> {
  return async function rate_limited(c, next) {
    const { ctx } = c.var
    const begins = early && c.req.header('idempotency-key') === undefined && isEasy(buckets(ctx, limit))
    let taken: Taken
    if (begins) {
      const rate = pendingRate(ctx, limit)
      ctx.rate = rate
      await next()
      taken = await rate.taken()
    } else {
      taken = await takeAll(ctx, limit)
      refuseOver(taken)
      await next()
    }
    refuseOver(taken)
    if (limit === 'guess' && c.res.ok) {
      const { key, perMinute } = bucket(ctx, limit)
      await giveBack(ctx.db, key, { perMinute })
    }
    for (const [name, value] of Object.entries(headersOf(taken))) c.res.headers.set(name, value)
  }
}

/** Keys that had at least half of their rate left, and until when (epoch ms) that counts. */
const plenty = new Map<string, number>()
const plentyMs = 2_000
const mostKeys = 10_000

function notePlenty(key: string, { limit, remaining }: Taken): void {
  if (plenty.size >= mostKeys) plenty.clear()
  if (remaining * 2 >= limit) plenty.set(key, Date.now() + plentyMs)
  else plenty.delete(key)
}

/** How many ask for a key just now. */
const asking = new Map<string, number>()

const isEasy = ([first, ...more]: { key: string }[]) =>
  more.length === 0 && !asking.has(first!.key) && (plenty.get(first!.key) ?? 0) > Date.now()

/** Asks, and is known to be asking. */
async function asked(key: string, ask: () => Promise<Taken>): Promise<Taken> {
  asking.set(key, (asking.get(key) ?? 0) + 1)
  try {
    const taken = await ask()
    notePlenty(key, taken)
    return taken
  } finally {
    const others = asking.get(key)! - 1
    if (others > 0) asking.set(key, others)
    else asking.delete(key)
  }
}

function pendingRate(ctx: Ctx, limit: Exclude<Limit, 'none'>): PendingRate {
  const { key, perMinute } = bucket(ctx, limit)
  const rate = new PendingRate(key, { perMinute }, () => takeFromRate(ctx.db, key, { perMinute }))
  // Whoever waits for it hears of what fails.
  void asked(key, () => rate.settled).catch(() => {})
  return rate
}

/** What the first refuses costs the next nothing. Told is the one with less left. */
async function takeAll(ctx: Ctx, limit: Exclude<Limit, 'none'>): Promise<Taken> {
  let told: Taken | null = null
  for (const { key, perMinute } of buckets(ctx, limit)) {
    const taken = await asked(key, () => takeFromRate(ctx.db, key, { perMinute }))
    if (!taken.admitted) return taken
    if (!told || taken.remaining <= told.remaining) told = taken
  }
  return told!
}

/** The token's own rate before its project's. */
function buckets(ctx: Ctx, limit: Exclude<Limit, 'none'>): { key: string; perMinute: number }[] {
  const { actor } = ctx
  const own = limit === 'project' && actor.kind === 'token' ? actor.limits?.requests_per_minute : undefined
  const shared = bucket(ctx, limit)
  return own === undefined ? [shared] : [{ key: `token ${tokenActor(ctx).token}`, perMinute: own }, shared]
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
