/** What to do about secrets that somebody found in public: whatever of ours they are, they end at once, with all that stood on them. */
import { and, eq, isNull, sql } from 'drizzle-orm'
import { enrollments, grants, links, tokens } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { Authenticator } from '../auth.ts'
import type { Ctx } from '../context.ts'
import { isSecret, readUserToken } from '../tokens/format.ts'
import { endTokens, revokeFamily } from '../tokens/revoke.ts'

export interface Found {
  token: string
  type: string
  url: string
  source: string
}

/** True when it was a secret of ours, also one that had ended before. */
export async function endLeaked(ctx: Ctx, auth: Authenticator, found: Found): Promise<boolean> {
  const system: Ctx = { ...ctx, actor: { kind: 'system' } }
  const where = { reason: 'leaked', source: found.source.slice(0, 100), url: found.url.slice(0, 500) }
  const { token } = found
  // What is none by its checksum costs no look at the database.
  const kind = readUserToken(token) ? 'token' : isSecret('lk', token) ? 'link' : isSecret('join', token) ? 'join' : null
  if (kind === null) return false
  const hash = await ctx.sha256(token)
  if (kind === 'token') return endToken(system, auth, hash, where)
  if (kind === 'link') return endLink(system, hash, where)
  return endJoinToken(system, hash)
}

async function endToken(ctx: Ctx, auth: Authenticator, hash: Uint8Array, where: Record<string, string>): Promise<boolean> {
  const ended = await ctx.db.transaction(async tx => {
    const [row] = await tx.select({ id: tokens.id }).from(tokens).where(eq(tokens.hash, hash)).for('update')
    return row ? revokeFamily(tx, ctx, row.id, where) : null
  })
  if (!ended) return false
  await ctx.afterCommit(() => endTokens(ctx, auth, ended.family, ended.streams))
  return true
}

async function endLink(ctx: Ctx, hash: Uint8Array, where: Record<string, string>): Promise<boolean> {
  const open = await ctx.db.transaction(async tx => {
    const [row] = await tx.select().from(links).where(eq(links.hash, hash)).for('update')
    if (!row) return null
    if (row.revoked_at !== null) return []
    await tx
      .update(links)
      .set({ revoked_at: sql`clock_timestamp()` as never })
      .where(eq(links.id, row.id))
    const detail = { session: row.session_id, ...where }
    await recordAudit(tx, ctx, { action: 'link.revoke', target: row.id, project: row.project_id, detail })
    return tx
      .select({ id: grants.id })
      .from(grants)
      .where(and(eq(grants.link_id, row.id), isNull(grants.closed_at)))
  })
  if (open === null) return false
  const streams = open.map(grant => grant.id)
  if (streams.length > 0) await ctx.afterCommit(() => ctx.tunnel.end(streams, 'revoked', 'link revoked'))
  return true
}

/** The agent that used it up has a key of its own since then. */
async function endJoinToken(ctx: Ctx, hash: Uint8Array): Promise<boolean> {
  const [row] = await ctx.db
    .update(enrollments)
    .set({ expires_at: sql`least(${enrollments.expires_at}, clock_timestamp())` as never })
    .where(eq(enrollments.hash, hash))
    .returning({ cluster: enrollments.cluster_id })
  return row !== undefined
}
