/** Dashboard logins: a token is shown once, from then on an opaque cookie stands for it; only its SHA-256 is stored. */
import { eq, sql } from 'drizzle-orm'
import { tokens, web_sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Authenticator, cookieOf, plainCookie, secureCookie, webIdle, webLife } from '../auth.ts'
import type { Ctx } from '../context.ts'
import { Problem } from '../problem.ts'
import { mintSecret } from '../tokens/format.ts'
import { isOurs } from '../web-security.ts'

/** Checks the token like a Bearer, opens a web session, answers the cookie's line. */
export async function logIn(ctx: Ctx, auth: Authenticator, token: string, origin: string | null): Promise<string> {
  if (origin !== null && !isOurs(ctx, origin)) throw foreignPage()
  const actor = await auth.actorOf(token, ctx)
  const secret = mintSecret('se')
  await ctx.db.transaction(async tx => {
    await tx.insert(web_sessions).values({
      hash: await ctx.sha256(secret),
      token_id: actor.token,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${webLife})`,
      idle_expires_at: sql`clock_timestamp() + make_interval(secs => ${webIdle})`,
    })
    await recordAudit(tx, { ...ctx, actor }, { action: 'auth.login', target: actor.token, project: actor.project })
  })
  return cookieLine(ctx.origin, secret, webLife)
}

/** Ends the web session that the cookie names, if it still is one; answers the lines that remove the cookie. The token's other logins stay. */
export async function logOut(ctx: Ctx, auth: Authenticator, headers: Headers): Promise<string[]> {
  const secret = cookieOf(headers)
  if (secret !== null) {
    if (!isOurs(ctx, headers.get('origin'))) throw foreignPage()
    const hash = await ctx.sha256(secret)
    const token = await ctx.db.transaction(async tx => {
      const [ended] = await tx.delete(web_sessions).where(eq(web_sessions.hash, hash)).returning({ token: web_sessions.token_id })
      const [row] = ended ? await tx.select().from(tokens).where(eq(tokens.id, ended.token)) : []
      if (!row) return null
      const { id, project_id: project, user_id: user } = row
      const actor = { kind: 'token', token: id, project, user, scopes: [], expiresAt: null, via: 'cookie' } as const
      await recordAudit(tx, { ...ctx, actor }, { action: 'auth.logout', target: id, project })
      return id
    })
    if (token !== null) await ctx.afterCommit(async () => auth.forget(token))
  }
  return [`${secureCookie}=; Secure; ${attributes(0)}`, `${plainCookie}=; ${attributes(0)}`]
}

const foreignPage = () => new Problem('forbidden', 'Logging in and out must happen from a page of this origin.')

/** Browsers take `Secure` (and so `__Host-`) over https and from this machine itself; plain http elsewhere gets the plain name. */
function cookieLine(origin: string, secret: string, maxAge: number): string {
  const { protocol, hostname } = new URL(origin)
  const loopback =
    hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
  if (protocol === 'https:' || loopback) return `${secureCookie}=${secret}; Secure; ${attributes(maxAge)}`
  return `${plainCookie}=${secret}; ${attributes(maxAge)}`
}

const attributes = (maxAge: number) => `HttpOnly; SameSite=Strict; Path=/; Max-Age=${maxAge}`

/** Web sessions that are over. Call it about once an hour. */
export async function sweepWebSessions(db: Ctx['db']): Promise<void> {
  await db.delete(web_sessions).where(sql`least(${web_sessions.expires_at}, ${web_sessions.idle_expires_at}) < clock_timestamp()`)
}
