/**
 * Verbs of share links. The secret is in the URL's fragment, so no server, log or Referer ever sees it; only its SHA-256 is stored. A link ends
 * by its expiry, by revocation, with its session, and with the token that made it; streams opened through it end with it.
 */

import type { z } from '@hono/zod-openapi'
import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import { clusters, grants, links, sessions, tickets } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { afterCursor, type PageQuery, page } from '../paging.ts'
import { notFound, Problem } from '../problem.ts'
import { clusterOnline, findSession, viewOf } from '../sessions/read.ts'
import { ticketSeconds, ticketTimes } from '../streams/tickets.ts'
import { isSecret, mintSecret } from '../tokens/format.ts'
import { roleNow } from '../viewers/roles.ts'
import type { LinkCreate } from './schema.ts'

const openViewers = sql<number>`(select count(*)::int from ${grants} g where g.link_id = ${links}.id and g.closed_at is null)`
type LinkRow = typeof links.$inferSelect

function linkView(row: LinkRow, viewers: number) {
  return {
    id: row.id,
    object: 'link' as const,
    session: row.session_id,
    role: row.role,
    shared_by: row.user_id,
    max_viewers: row.max_viewers,
    viewers,
    created_at: row.created_at.toISOString(),
    expires_at: row.expires_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }
}

export async function createLink(ctx: Ctx, session: string, input: z.infer<typeof LinkCreate>) {
  const actor = tokenActor(ctx)
  const { row } = await findSession(ctx, session)
  if (row.spec.headless) throw new Problem('conflict', 'This session is headless: it has no screen to share.')
  const secret = mintSecret('lk')
  const made = await ctx.db.transaction(async tx => {
    const [made] = await tx
      .insert(links)
      .values({
        id: newId('lnk'),
        project_id: row.project_id,
        session_id: row.id,
        token_id: actor.token,
        user_id: actor.user,
        hash: await ctx.sha256(secret),
        role: input.role,
        max_viewers: input.max_viewers ?? null,
        expires_at: sql`clock_timestamp() + make_interval(secs => ${input.ttl_seconds})` as never,
      })
      .returning()
    await recordAudit(tx, ctx, {
      action: 'link.create',
      target: made!.id,
      project: row.project_id,
      detail: { session: row.id, role: input.role },
    })
    return made!
  })
  return { ...linkView(made, 0), url: `${ctx.origin}/join#${secret}` }
}

export async function listLinks(ctx: Ctx, session: string, query: PageQuery) {
  await findSession(ctx, session)
  const rows = await ctx.db
    .select({ link: links, viewers: openViewers })
    .from(links)
    .where(
      and(
        eq(links.session_id, session),
        isNull(links.revoked_at),
        sql`${links.expires_at} > clock_timestamp()`,
        afterCursor(query.cursor, links.created_at, links.id),
      ),
    )
    .orderBy(desc(links.created_at), desc(links.id))
    .limit(query.limit + 1)
  const flat = rows.map(found => ({ ...found, created_at: found.link.created_at, id: found.link.id }))
  return page(flat, query.limit, ({ link, viewers }) => linkView(link, viewers))
}

/** Ends the link and, at once, every screen opened through it. */
export async function revokeLink(ctx: Ctx, session: string, id: string): Promise<void> {
  await findSession(ctx, session)
  const open = await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(links)
      .set({ revoked_at: sql`coalesce(${links.revoked_at}, clock_timestamp())` as never })
      .where(and(eq(links.id, id), eq(links.session_id, session)))
      .returning()
    if (!row) throw notFound('link')
    await recordAudit(tx, ctx, { action: 'link.revoke', target: id, project: row.project_id, detail: { session } })
    return tx
      .select({ id: grants.id })
      .from(grants)
      .where(and(eq(grants.link_id, id), isNull(grants.closed_at)))
  })
  if (open.length > 0)
    await ctx.afterCommit(() =>
      ctx.tunnel.end(
        open.map(grant => grant.id),
        'revoked',
        'link revoked',
      ),
    )
}

const gone = () => new Problem('not_found', 'This link is unknown, has expired, or was revoked.')

/** The living link behind a secret, whose maker may still share. */
async function findBySecret(ctx: Ctx, secret: string) {
  if (!isSecret('lk', secret)) throw gone()
  const hash = await ctx.sha256(secret)
  const [found] = await ctx.db
    .select({ link: links, row: sessions, online: clusterOnline, viewers: openViewers })
    .from(links)
    .innerJoin(sessions, eq(sessions.id, links.session_id))
    .leftJoin(clusters, eq(clusters.id, sessions.cluster_id))
    .where(
      and(
        eq(links.hash, hash),
        isNull(links.revoked_at),
        sql`${links.expires_at} > clock_timestamp()`,
        sql`${sessions.desired} <> 'deleted'`,
        sql`exists (select 1 from tokens t join projects p on p.id = t.project_id where t.id = ${links.token_id} and t.revoked_at is null
          and p.suspended_at is null and (t.expires_at is null or t.expires_at > clock_timestamp())
          and (t.grace_until is null or t.grace_until > clock_timestamp()))`,
      ),
    )
    .limit(1)
  if (!found) throw gone()
  return found
}

/** `viewer`: a stream opened through this link, whose holder asks what it may do now. */
export async function openLink(ctx: Ctx, secret: string, viewer?: string) {
  const { link, row, online } = await findBySecret(ctx, secret)
  const session = viewOf({ row, online, position: null }, ctx.origin)
  const own = viewer === undefined ? undefined : await ownScreen(ctx, link.id, viewer)
  return {
    object: 'shared_session' as const,
    name: session.name,
    template: session.template,
    status: session.status,
    display: session.display,
    role: link.role,
    role_now: own?.role ?? null,
    control_mode: row.control,
    asked_at: own?.asked_at?.toISOString() ?? null,
    shared_by: link.user_id,
    expires_at: link.expires_at.toISOString(),
  }
}

async function ownScreen(ctx: Ctx, link: string, viewer: string) {
  const [row] = await ctx.db
    .select({ role: roleNow, asked_at: grants.asked_at })
    .from(grants)
    .innerJoin(sessions, eq(sessions.id, grants.session_id))
    .where(and(eq(grants.id, viewer), eq(grants.link_id, link), isNull(grants.closed_at)))
  return row
}

/** Only told: what the guest may do stays the decision of the session's user. Asked again before that, it is not told again. */
export async function askForControl(ctx: Ctx, secret: string, viewer: string) {
  const { link, row } = await findBySecret(ctx, secret)
  const own = await ownScreen(ctx, link.id, viewer)
  if (!own) throw notFound('screen opened through this link')
  if (link.role === 'view') throw new Problem('conflict', 'This link is to watch only: ask for one to control.')
  if (own.role === 'control') throw new Problem('conflict', 'This screen has control already.')
  await ctx.db.transaction(async tx => {
    const [asked] = await tx
      .update(grants)
      .set({ asked_at: sql`clock_timestamp()` as never })
      .where(and(eq(grants.id, viewer), isNull(grants.asked_at), isNull(grants.closed_at)))
      .returning({ id: grants.id })
    if (!asked) return
    const data = { session_id: row.id, viewer, link: link.id }
    await emitEvent(tx, { type: 'session.control_asked', project: row.project_id, session: row.id, data })
  })
  return openLink(ctx, secret, viewer)
}

/** A one-time ticket for the screen. How many may be open at once is checked when the stream is granted, under the link's lock. */
export async function ticketForLink(ctx: Ctx, secret: string) {
  const { link, row, viewers } = await findBySecret(ctx, secret)
  if (link.max_viewers !== null && viewers >= link.max_viewers) throw tooMany(link.max_viewers)
  const ticket = mintSecret('tk')
  const viewer = newId('str')
  const [stored] = await ctx.db
    .insert(tickets)
    .values({
      hash: await ctx.sha256(ticket),
      session_id: row.id,
      project_id: row.project_id,
      token_id: link.token_id,
      user_id: link.user_id,
      link_id: link.id,
      stream: 'vnc',
      role: link.role,
      stream_id: viewer,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${ticketSeconds})` as never,
    })
    .returning({ expires_at: tickets.expires_at })
  return {
    id: viewer,
    object: 'ticket' as const,
    ticket,
    url: `${ctx.origin.replace(/^http/, 'ws')}/v1/sessions/${row.id}/vnc`,
    stream: 'vnc' as const,
    role: link.role,
    viewer,
    ...ticketTimes(stored!.expires_at),
  }
}

export function tooMany(max: number): Problem {
  return new Problem(
    'conflict',
    `This link shows ${max} ${max === 1 ? 'screen' : 'screens'} at once, and no more. Try again when somebody has left.`,
  )
}
