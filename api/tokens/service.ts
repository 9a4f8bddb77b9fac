/** Verbs that make tokens; read.ts shows them, revoke.ts ends them. The secret leaves only in the answer that made it. */
import { eq, sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { projects, type TokenLimits, tokens } from '#db/schema.ts'
import type { Authenticator } from '../auth.ts'
import { type Ctx, type Scope, tokenActor } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import { newId } from '../ids.ts'
import { invalid, Problem } from '../problem.ts'
import { mintUserToken } from './format.ts'
import { refuseBeyond, type Wanted, wantedEnd } from './mint-rules.ts'
import { findToken } from './read.ts'
import { endTokens, tokenStreams } from './revoke.ts'
import type { TokenCreate, TokenRotate, TokenWithSecret } from './schema.ts'
import { told } from './tell.ts'
import { type Bounds, inheritBounds } from './token-limits.ts'
import { tokenView } from './view.ts'

export async function createToken(ctx: Ctx, input: TokenCreate): Promise<TokenWithSecret> {
  const actor = tokenActor(ctx)
  return ctx.db.transaction(async tx => {
    const now = await databaseNow(tx)
    const wanted: Wanted = {
      project: input.project ?? actor.project,
      user: input.user ?? actor.user,
      scopes: [...new Set(input.scopes)],
      expiresAt: wantedEnd(input, actor, now),
    }
    refuseBeyond(actor, wanted)
    const [known] = await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, wanted.project))
    if (!known) throw invalid('/project', 'There is no such project.')
    const bounds = inheritBounds(
      { allowedCidrs: actor.allowedCidrs ?? null, limits: actor.limits ?? {} },
      {
        ...input,
        limits: input.limits as TokenLimits | undefined,
      },
    )
    const made = await insertToken(tx, ctx, wanted, { name: input.name, bounds })
    await told(tx, ctx, made.row, 'create', {
      name: input.name,
      user: wanted.user,
      scopes: wanted.scopes,
      expires_at: wanted.expiresAt,
    })
    return { ...tokenView(made.row, now), token: made.token }
  })
}

async function insertToken(tx: Sql, ctx: Ctx, wanted: Wanted, more: { name: string; rotatedFrom?: string; bounds: Bounds }) {
  const token = mintUserToken(wanted.project, wanted.user)
  const [row] = await tx
    .insert(tokens)
    .values({
      id: newId('tok'),
      project_id: wanted.project,
      user_id: wanted.user,
      name: more.name,
      hash: await ctx.sha256(token),
      last4: token.slice(-4),
      scopes: [...wanted.scopes],
      allowed_cidrs: more.bounds.allowedCidrs,
      limits: more.bounds.limits,
      expires_at: wanted.expiresAt,
      created_by: tokenActor(ctx).token,
      rotated_from: more.rotatedFrom ?? null,
    })
    .returning()
  return { row: row!, token }
}

/** A newer token of the same kind; the older one stays valid for its grace, and can be rotated no more. */
export async function rotateToken(ctx: Ctx, auth: Authenticator, id: string, input: TokenRotate): Promise<TokenWithSecret> {
  const actor = tokenActor(ctx)
  const { answer, streams } = await ctx.db.transaction(async tx => {
    const row = await findToken(ctx, tx, id, true)
    const now = await databaseNow(tx)
    const { status } = tokenView(row, now)
    if (status !== 'active') throw new Problem('conflict', `A token that is ${status} cannot be rotated; make a new one.`)
    const wanted: Wanted = {
      project: row.project_id,
      user: row.user_id,
      scopes: row.scopes as Scope[],
      expiresAt: wantedEnd(input, actor, now, row.expires_at),
    }
    refuseBeyond(actor, wanted)
    const made = await insertToken(tx, ctx, wanted, {
      name: row.name,
      rotatedFrom: row.id,
      bounds: { allowedCidrs: row.allowed_cidrs, limits: row.limits },
    })
    await tx
      .update(tokens)
      .set({ grace_until: sql`least(clock_timestamp() + make_interval(secs => ${input.grace_seconds}), expires_at)` })
      .where(eq(tokens.id, row.id))
    await told(tx, ctx, made.row, 'rotate', { rotated_from: row.id, grace_seconds: input.grace_seconds })
    return {
      answer: { ...tokenView(made.row, now), token: made.token },
      streams: input.grace_seconds === 0 ? await tokenStreams(tx, [row.id]) : [],
    }
  })
  await ctx.afterCommit(() => endTokens(ctx, auth, [id], streams))
  return answer
}
