/** Verbs of viewers: who watches, and handing control over. Only the session's own user, or an admin, decides who controls. */
import { and, desc, eq, isNotNull, isNull } from 'drizzle-orm'
import { grants, sessions } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, holds, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { invalid, notFound, Problem } from '../problem.ts'
import { lockSession } from '../sessions/change.ts'
import { findSession, sessionForEvent } from '../sessions/read.ts'
import type { SessionRow } from '../sessions/view.ts'
import { roleNow } from './roles.ts'
import type { ControlChange } from './schema.ts'

const screensOf = (session: string) => and(eq(grants.session_id, session), eq(grants.kind, 'vnc'), isNull(grants.closed_at))

const decides = (ctx: Ctx, row: SessionRow) => holds(ctx.actor, 'admin') || tokenActor(ctx).user === row.user_id

export async function listViewers(ctx: Ctx, session: string) {
  const { row } = await findSession(ctx, session)
  const rows = await ctx.db
    .select({ grant: grants, role: roleNow })
    .from(grants)
    .innerJoin(sessions, eq(sessions.id, grants.session_id))
    .where(screensOf(session))
    .orderBy(desc(grants.opened_at))
    .limit(500)
  const tellsAddress = decides(ctx, row)
  const holder = rows.find(({ grant }) => grant.id === row.control_holder)
  return {
    object: 'list' as const,
    data: rows.map(({ grant, role }) => ({
      id: grant.id,
      object: 'viewer' as const,
      session,
      via: grant.link_id ? ('link' as const) : ('token' as const),
      user: grant.user_id,
      link: grant.link_id,
      role,
      granted_role: grant.role,
      address: tellsAddress ? grant.address : null,
      asked_at: grant.asked_at?.toISOString() ?? null,
      since: grant.opened_at.toISOString(),
      created_at: grant.opened_at.toISOString(),
    })),
    has_more: false,
    next_cursor: null,
    control: { mode: row.control, viewer: row.control === 'single' ? (holder?.grant.id ?? null) : null },
  }
}

export async function setControl(ctx: Ctx, session: string, input: ControlChange) {
  const viewer = input.viewer ?? null
  if (viewer !== null && input.mode === 'shared') throw invalid('/viewer', 'A viewer goes only with mode "single".')
  const open = await ctx.db.transaction(async tx => {
    const row = await lockSession(tx, ctx, session)
    if (!decides(ctx, row)) throw new Problem('forbidden', 'Only the session’s own user, or an admin, decides who controls it.')
    if (viewer !== null) {
      const [grant] = await tx
        .select({ role: grants.role })
        .from(grants)
        .where(and(screensOf(session), eq(grants.id, viewer)))
      if (!grant) throw notFound('viewer of this session')
      if (grant.role === 'view')
        throw new Problem('conflict', 'This viewer was let in to watch only; share a link with role "control".')
    }
    await tx
      .update(grants)
      .set({ asked_at: null })
      .where(and(screensOf(session), isNotNull(grants.asked_at)))
    await tx.update(sessions).set({ control: input.mode, control_holder: viewer }).where(eq(sessions.id, session))
    await recordAudit(tx, ctx, {
      action: 'session.control',
      target: session,
      project: row.project_id,
      detail: { mode: input.mode, viewer },
    })
    const view = await sessionForEvent(tx, session, ctx.origin)
    if (view) await emitEvent(tx, { type: 'session.updated', project: row.project_id, session, data: { session: view } })
    return tx.select({ id: grants.id }).from(grants).where(screensOf(session))
  })
  const streams = open.map(grant => grant.id)
  if (streams.length > 0) await ctx.afterCommit(() => ctx.tunnel.recheck(streams))
  return listViewers(ctx, session)
}
