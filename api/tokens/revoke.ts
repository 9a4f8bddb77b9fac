/** Ends tokens: the rows stay and say when, cookies that stood for them go, this replica forgets them, their open streams are closed. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { grants, tokens, web_sessions } from '#db/schema.ts'
import type { Authenticator } from '../auth.ts'
import { type Ctx, holds } from '../context.ts'
import { Problem } from '../problem.ts'
import { findToken } from './read.ts'
import { told } from './tell.ts'

/** Idempotent. `leaked` takes the whole family: every token this one was rotated from or into. */
export async function revokeToken(ctx: Ctx, auth: Authenticator, id: string, reason?: 'leaked'): Promise<void> {
  const ended = await ctx.db.transaction(async tx => {
    const row = await findToken(ctx, tx, id, true)
    if (row.scopes.includes('admin') && !holds(ctx.actor, 'admin')) {
      throw new Problem('forbidden', 'Only an admin revokes an admin’s token.')
    }
    if (reason === 'leaked') return revokeFamily(tx, ctx, id, { reason })
    await revokeRows(tx, ctx, [id], { reason: 'requested', asked_for: id })
    return { family: [id], streams: await tokenStreams(tx, [id]) }
  })
  await ctx.afterCommit(() => endTokens(ctx, auth, ended.family, ended.streams))
}

/** A token that leaked, with every token it was rotated from or into; its row is locked. Idempotent. */
export async function revokeFamily(tx: Tx, ctx: Ctx, id: string, detail: Record<string, unknown>) {
  const family = await familyOf(tx, id)
  await revokeRows(tx, ctx, family, { ...detail, asked_for: id })
  return { family, streams: await tokenStreams(tx, family) }
}

async function revokeRows(tx: Tx, ctx: Ctx, ids: string[], detail: Record<string, unknown>): Promise<void> {
  const revoked = await tx
    .update(tokens)
    .set({ revoked_at: sql`clock_timestamp()` })
    .where(and(inArray(tokens.id, ids), isNull(tokens.revoked_at)))
    .returning()
  await tx.delete(web_sessions).where(inArray(web_sessions.token_id, ids))
  for (const one of revoked) await told(tx, ctx, one, 'revoke', detail)
}

async function familyOf(tx: Sql, id: string): Promise<string[]> {
  const rows = await tx.execute<{ id: string }>(sql`
    with recursive older as (
      select id, rotated_from from tokens where id = ${id}
      union select t.id, t.rotated_from from tokens t join older o on t.id = o.rotated_from
    ), family as (
      select id from older
      union select t.id from tokens t join family f on t.rotated_from = f.id
    ) select id from family`)
  return rows.map(row => row.id)
}

export async function tokenStreams(tx: Sql, ids: string[]): Promise<string[]> {
  const open = await tx
    .select({ id: grants.id })
    .from(grants)
    .where(and(inArray(grants.token_id, ids), isNull(grants.closed_at)))
  return open.map(grant => grant.id)
}

/** After commit. Other replicas notice by themselves: new requests within 5 s, open streams within 15 s. */
export async function endTokens(ctx: Ctx, auth: Authenticator, ids: string[], streams: string[]): Promise<void> {
  for (const id of ids) auth.forget(id)
  if (streams.length > 0) await ctx.tunnel.end(streams, 'token_ended', 'the token ended')
}

/** All of a project's tokens, as part of its end. */
export async function projectTokens(tx: Sql, project: string): Promise<string[]> {
  const rows = await tx.select({ id: tokens.id }).from(tokens).where(eq(tokens.project_id, project))
  return rows.map(row => row.id)
}
