/**
 * Who is calling: a Bearer token, or the dashboard's cookie standing for one. All causes of a bad token give one 401 body.
 * The positive cache lives at most 5 s, which is the promise for revocation of new requests; there is no negative cache.
 */
import { and, eq, gt, isNull, or, sql } from 'drizzle-orm'
import { projects, tokens, web_sessions } from '#db/schema.ts'
import type { Scope, TokenActor } from './context.ts'
import type { Services } from './platform.ts'
import { Problem } from './problem.ts'
import { isSecret, projectHint, readUserToken, sameDigest } from './tokens/format.ts'
import { isWithin } from './tokens/networks.ts'

const cacheMs = 5_000
const cacheSize = 10_000

export const secureCookie = '__Host-porthole'
/** Plain http elsewhere than on this machine cannot hold a `Secure` cookie. */
export const plainCookie = 'porthole'

/** Life of a dashboard login, seconds: without use, and at the longest. */
export const webIdle = 12 * 3600
export const webLife = 7 * 86_400

export function unauthorized(): Problem {
  return new Problem('unauthorized', 'The token is missing, malformed, unknown, expired or revoked.', {
    headers: { 'www-authenticate': 'Bearer' },
  })
}

/** Exactly one `Authorization: Bearer <token>`; null when there is none at all. Fetch joins repeated headers with `, `: refused. */
export function bearerOf(headers: Headers): string | null {
  const value = headers.get('authorization')
  if (value === null) return null
  const match = /^bearer ([^\s,]+)$/i.exec(value)
  if (!match) throw unauthorized()
  return match[1]!
}

export function cookieOf(headers: Headers): string | null {
  for (const part of (headers.get('cookie') ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2)
    if ((name === secureCookie || name === plainCookie) && value) return value
  }
  return null
}

interface Known {
  actor: TokenActor
  hash: Uint8Array
  readAt: number
}

export class Authenticator {
  /** By the first bytes of the digest; all of it is compared. */
  private readonly known = new Map<number, Known>()
  /** Token id -> minute it was last used in; flushed by `takeUses`. */
  private readonly uses = new Map<string, number>()
  private readonly now: () => number
  constructor(now: () => number = Date.now) {
    this.now = now
  }

  async actor(request: Request, services: Services): Promise<TokenActor | null> {
    const bearer = bearerOf(request.headers)
    if (bearer !== null) return this.actorOf(bearer, services)
    const cookie = cookieOf(request.headers)
    if (cookie === null) return null
    if (!isSecret('se', cookie)) throw unauthorized()
    return this.byHash('cookie', await services.sha256(cookie), services)
  }

  /** Who a user's token stands for; 401 when it may not be used. */
  async actorOf(token: string, services: Services): Promise<TokenActor> {
    const hints = readUserToken(token)
    if (!hints) throw unauthorized()
    const actor = await this.byHash('bearer', await services.sha256(token), services)
    if (projectHint(actor.project) !== hints.projectHint || actor.user !== hints.user) throw unauthorized()
    return actor
  }

  private async byHash(via: 'bearer' | 'cookie', hash: Uint8Array, services: Services): Promise<TokenActor> {
    const key = (hash[0]! << 24) | (hash[1]! << 16) | (hash[2]! << 8) | hash[3]!
    const cached = this.known.get(key)
    const now = this.now()
    if (cached?.actor.via === via && now - cached.readAt < cacheMs && sameDigest(cached.hash, hash)) {
      refuseElsewhere(cached.actor, services.address)
      if (cached.actor.expiresAt !== null && cached.actor.expiresAt <= now) throw unauthorized()
      this.uses.set(cached.actor.token, Math.floor(now / 60_000))
      return cached.actor
    }
    this.known.delete(key)
    const row = via === 'bearer' ? await tokenByHash(services, hash) : await tokenByCookie(services, hash)
    if (row && 'idles' in row && row.idles) services.defer(extendWebSession(services.db, hash))
    if (!row || !sameDigest(row.hash, hash)) throw unauthorized()
    const ends = [row.expires_at, row.grace_until].filter(at => at !== null).map(at => at.getTime())
    const actor: TokenActor = {
      kind: 'token',
      token: row.id,
      project: row.project_id,
      user: row.user_id,
      scopes: row.scopes as Scope[],
      expiresAt: ends.length ? Math.min(...ends) : null,
      via,
      requestsPerMinute: row.quotas.requests_per_minute,
      limits: row.limits,
      allowedCidrs: row.allowed_cidrs,
    }
    if (this.known.size >= cacheSize) this.known.clear()
    this.known.set(key, { actor, hash, readAt: now })
    refuseElsewhere(actor, services.address)
    this.uses.set(actor.token, Math.floor(now / 60_000))
    return actor
  }

  /** Forgets a token at once on this replica (others within 5 s). */
  forget(token: string): void {
    for (const [key, known] of this.known) if (known.actor.token === token) this.known.delete(key)
  }

  /** Writes when tokens were last used, to the minute, in one statement. Call it about once a minute. */
  async flushUses(services: Pick<Services, 'db'>): Promise<void> {
    if (this.uses.size === 0) return
    const batch = [...this.uses].map(([id, minute]) => ({ id, at: new Date(minute * 60_000).toISOString() }))
    this.uses.clear()
    await services.db.execute(sql`
      update tokens set last_used_at = u.at::timestamptz
      from jsonb_to_recordset(${JSON.stringify(batch)}::jsonb) as u(id text, at text)
      where tokens.id = u.id and (tokens.last_used_at is null or tokens.last_used_at < u.at::timestamptz)`)
  }
}

/** A token that leaked is worth nothing outside of the networks it is for: 401, as for any other cause. */
function refuseElsewhere({ allowedCidrs }: TokenActor, address: string): void {
  if (allowedCidrs && !isWithin(address, allowedCidrs)) throw unauthorized()
}

const columns = {
  id: tokens.id,
  project_id: tokens.project_id,
  user_id: tokens.user_id,
  scopes: tokens.scopes,
  expires_at: tokens.expires_at,
  grace_until: tokens.grace_until,
  allowed_cidrs: tokens.allowed_cidrs,
  limits: tokens.limits,
  quotas: projects.quotas,
}

/** True while the token may be used: the database's clock decides. */
export const tokenLives = and(
  isNull(tokens.revoked_at),
  isNull(projects.suspended_at),
  or(isNull(tokens.expires_at), gt(tokens.expires_at, sql`clock_timestamp()`)),
  or(isNull(tokens.grace_until), gt(tokens.grace_until, sql`clock_timestamp()`)),
)

async function tokenByHash({ db }: Services, hash: Uint8Array) {
  const rows = await db
    .select({ ...columns, hash: tokens.hash })
    .from(tokens)
    .innerJoin(projects, eq(projects.id, tokens.project_id))
    .where(and(eq(tokens.hash, hash), tokenLives))
    .limit(1)
  return rows[0]
}

async function tokenByCookie({ db }: Services, hash: Uint8Array) {
  const rows = await db
    .select({
      ...columns,
      hash: web_sessions.hash,
      /** Its idle end was last moved more than a minute ago. */
      idles: sql<boolean>`${web_sessions.idle_expires_at} < clock_timestamp() + make_interval(secs => ${webIdle - 60})`,
    })
    .from(web_sessions)
    .innerJoin(tokens, eq(tokens.id, web_sessions.token_id))
    .innerJoin(projects, eq(projects.id, tokens.project_id))
    .where(
      and(
        eq(web_sessions.hash, hash),
        gt(web_sessions.expires_at, sql`clock_timestamp()`),
        gt(web_sessions.idle_expires_at, sql`clock_timestamp()`),
        tokenLives,
      ),
    )
    .limit(1)
  return rows[0]
}

/** One write a minute at most, whoever wins: the condition is repeated where it counts. */
async function extendWebSession(db: Services['db'], hash: Uint8Array): Promise<void> {
  await db
    .update(web_sessions)
    .set({ idle_expires_at: sql`least(${web_sessions.expires_at}, clock_timestamp() + make_interval(secs => ${webIdle}))` })
    .where(
      and(
        eq(web_sessions.hash, hash),
        sql`${web_sessions.idle_expires_at} < clock_timestamp() + make_interval(secs => ${webIdle - 60})`,
        gt(web_sessions.idle_expires_at, sql`clock_timestamp()`),
      ),
    )
}
