/**
 * Grants a stream: checks that it can be opened at all, writes the grant row (who, what, where it is held) and the audit row in one
 * transaction, and answers what the tunnel needs.
 */

import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { grants, links, projects, tokens } from '#db/schema.ts'
import type { StreamKind, StreamRole, StreamTarget } from '#protocol/link-messages.ts'
import { recordAudit } from '../audit/record.ts'
import type { Ctx } from '../context.ts'
import { newId } from '../ids.ts'
import { tooMany } from '../links/service.ts'
import type { StreamGrant } from '../platform.ts'
import { Problem } from '../problem.ts'
import { exceeded } from '../projects/quotas.ts'
import type { findSession } from '../sessions/read.ts'
import { hurrySettling } from '../sessions/settling.ts'
import { mintSecret } from '../tokens/format.ts'
import { rolesNow } from '../viewers/roles.ts'

type Found = Awaited<ReturnType<typeof findSession>>

/** Renewed every 30 s; the agent ends the stream by itself at 45 s. */
export const grantMs = 45_000

export interface GrantWish {
  kind: StreamKind
  role: StreamRole
  target: StreamTarget
  /** What the audit says; absent: not written (thumbnails). */
  audited: boolean
  /** Chosen when its ticket was made; absent: a new one. */
  id?: string
  /** Logs and files' lists may be asked of sessions that ended. */
  alsoEnded?: boolean
}

export async function grantStream(ctx: Ctx, { row, online }: Found, wish: GrantWish): Promise<StreamGrant> {
  if (row.status !== 'running' && !(wish.alsoEnded && row.cluster_id)) {
    throw new Problem(
      'session_not_running',
      `The session is ${row.status}${row.status_reason && row.status_reason !== row.status ? `: ${row.status_reason}` : '.'}`,
      {
        headers: row.status === 'starting' || row.status === 'queued' ? { 'retry-after': '1' } : {},
      },
    )
  }
  if (!online)
    throw new Problem('cluster_offline', 'The cluster of this session is offline.', { headers: { 'retry-after': '5' } })
  hurrySettling(ctx, row)
  return writeGrant(ctx, {
    project: row.project_id,
    session: row.id,
    cluster: row.cluster_id!,
    kind: wish.kind,
    ...(wish.id ? { id: wish.id } : {}),
    role: wish.role,
    target: wish.target,
    clipboard: row.spec.clipboard,
    audit: async (tx, stream) => {
      if (!wish.audited) return
      const detail = { stream, kind: wish.kind, role: wish.role }
      await recordAudit(tx, ctx, { action: 'stream.open', target: row.id, project: row.project_id, detail })
    },
  })
}

export interface GrantRow extends Omit<StreamGrant, 'id' | 'key' | 'remainingMs'> {
  id?: string
  project: string
  /** Ends with this terminal. */
  terminal?: string
  /** Writes what the audit should say, in the grant's transaction. */
  audit: (tx: Tx, stream: string) => Promise<void>
}

/** Writes the row that stands behind a stream. `session` is what is reached: a session, or a volume. */
export async function writeGrant(ctx: Ctx, { project, audit, terminal, ...rest }: GrantRow): Promise<StreamGrant> {
  const key = mintSecret('st')
  const id = rest.id ?? newId('str')
  const holder = holderOf(ctx)
  const { role, lifeMs } = await ctx.db.transaction(async tx => {
    if (holder.link_id) await takeViewerPlace(tx, holder.link_id)
    if (isLive(rest.kind)) await takeStreamPlace(tx, project, holder)
    await tx.insert(grants).values({
      id,
      project_id: project,
      session_id: rest.session,
      terminal_id: terminal ?? null,
      cluster_id: rest.cluster,
      ...holder,
      kind: rest.kind,
      role: rest.role,
      replica_id: ctx.tunnel.home,
      key_hash: await ctx.sha256(key),
      address: ctx.address || null,
    })
    await audit(tx, id)
    const lifeMs = await lifeOf(tx, holder)
    if (rest.kind !== 'vnc') return { role: rest.role, lifeMs }
    return { role: (await rolesNow(tx, [id]))[0]?.role ?? 'view', lifeMs }
  })
  const remainingMs = Math.max(1, Math.floor(Math.min(grantMs, lifeMs ?? grantMs)))
  return { ...rest, id, role, key, remainingMs, ...(lifeMs === null ? {} : { lifeMs }) }
}

/** So that a stream ends in time also where the database cannot be asked again. */
async function lifeOf(tx: Tx, { token_id, link_id }: ReturnType<typeof holderOf>): Promise<number | null> {
  const [row] = await tx.execute<{ ms: number | null }>(sql`
    select (extract(epoch from least(
      (select least(expires_at, grace_until) from tokens where id = ${token_id}),
      (select expires_at from links where id = ${link_id})) - clock_timestamp()) * 1000)::float8 as ms`)
  return row?.ms ?? null
}

/** Counts under the link's lock, so that of any number at once only `max_viewers` get in; a link that ended meanwhile lets nobody in. */
async function takeViewerPlace(tx: Tx, link: string): Promise<void> {
  const [row] = await tx
    .select({ max: links.max_viewers })
    .from(links)
    .where(and(eq(links.id, link), isNull(links.revoked_at), sql`${links.expires_at} > clock_timestamp()`))
    .for('update')
  if (!row) throw new Problem('unauthorized', 'This link has expired or was revoked.')
  if (row.max === null) return
  const [open] = await tx
    .select({ count: sql<number>`count(*)::int` })
    .from(grants)
    .where(and(eq(grants.link_id, link), isNull(grants.closed_at)))
  if (open!.count >= row.max) throw tooMany(row.max)
}

/** Exchanges (files, screenshots, logs) end by themselves and are not counted. */
const isLive = (kind: StreamKind) => kind !== 'http' && kind !== 'logs'

/** What counts is locked first: the token's row, then the project's. Nothing is locked where nothing limits. */
async function takeStreamPlace(tx: Tx, project: string, holder: ReturnType<typeof holderOf>): Promise<void> {
  const { user_id } = holder
  // Viewers of a link count against the project and the link, not against whoever made it.
  const token_id = holder.link_id === null ? holder.token_id : null
  const [limits] = await tx
    .select({ own: tokens.limits, quotas: projects.quotas })
    .from(projects)
    .leftJoin(tokens, eq(tokens.id, token_id ?? ''))
    .where(eq(projects.id, project))
  const most = limits?.quotas.max_streams ?? null
  const perUser = holder.link_id === null ? (limits?.quotas.max_streams_per_user ?? null) : null
  const own = limits?.own?.max_streams ?? null
  if (own !== null)
    await tx
      .select({ id: tokens.id })
      .from(tokens)
      .where(eq(tokens.id, token_id ?? ''))
      .for('no key update')
  if (most !== null || perUser !== null)
    await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, project)).for('no key update')
  if (own === null && most === null && perUser === null) return
  const [open] = await tx
    .select({
      all: sql<number>`count(*)::int`,
      user: sql<number>`count(*) filter (where ${grants.user_id} = ${user_id} and ${grants.link_id} is null)::int`,
      token: sql<number>`count(*) filter (where ${grants.token_id} = ${token_id} and ${grants.link_id} is null)::int`,
    })
    .from(grants)
    .where(and(eq(grants.project_id, project), isNull(grants.closed_at), sql`${grants.kind} not in ('http', 'logs')`))
  if (most !== null && open!.all >= most) throw exceeded('max_streams', open!.all, most)
  if (perUser !== null && open!.user >= perUser) throw exceeded('max_streams_per_user', open!.user, perUser)
  if (own !== null && open!.token >= own) throw exceeded('token max_streams', open!.token, own)
}

function holderOf(ctx: Ctx): { token_id: string | null; user_id: string; link_id: string | null } {
  if (ctx.actor.kind === 'token') return { token_id: ctx.actor.token, user_id: ctx.actor.user, link_id: null }
  if (ctx.actor.kind === 'ticket') return { token_id: ctx.actor.token, user_id: ctx.actor.user, link_id: ctx.actor.link }
  throw new Problem('unauthorized', 'A token or ticket is needed.')
}
