/**
 * A viewer's WebSocket to a terminal. The first one that gets through makes the shell; from then on the agent is never told again how to make it,
 * so that one which was lost is said to be lost and not quietly replaced by another.
 */
import { and, eq, isNull, ne, sql } from 'drizzle-orm'
import { terminals } from '#db/schema.ts'
import type { TerminalTarget } from '#protocol/terminal-frames.ts'
import { recordAudit } from '../audit/record.ts'
import { unauthorized } from '../auth.ts'
import { type Ctx, holds } from '../context.ts'
import { Problem } from '../problem.ts'
import { writeGrant } from '../streams/grant.ts'
import { redeemTicket } from '../streams/tickets.ts'
import { readUpgrade } from '../streams/viewer.ts'
import { findTerminal, type TerminalRow } from './read.ts'
import { tellEnded } from './service.ts'
import { jobForAgent, reachable } from './target.ts'

/** As long as agents let the last words of an ended one be read. */
const readableSeconds = 300

export async function openTerminal(ctx: Ctx, request: Request, id: string, offset: number | undefined): Promise<Response> {
  const { offered, ticket } = readUpgrade(request)
  const { viewer, stream } = ticket === null ? byToken(ctx) : await byTicket(ctx, ticket, id)
  const row = await findTerminal(viewer, id)
  if (row.status === 'ended' && !stillReadable(row)) throw ended(row.reason)
  await reachable(viewer, row.cluster_id, row.job_id === null ? 'exec' : 'exec_jobs')

  const binary = offered.includes('binary')
  const target: TerminalTarget = {
    id,
    frames: binary ? 'binary' : 'json',
    ...(offset === undefined ? {} : { offset }),
    ...(row.status === 'created' ? { start: await startOf(viewer, row) } : {}),
  }
  const grant = await writeGrant(viewer, {
    project: row.project_id,
    session: (row.session_id ?? row.job_id)!,
    terminal: id,
    cluster: row.cluster_id,
    kind: 'terminal',
    role: 'control',
    clipboard: 'none',
    target: { terminal: target },
    ...(stream ? { id: stream } : {}),
    audit: (tx, stream) =>
      recordAudit(tx, viewer, {
        action: 'stream.open',
        target: id,
        project: row.project_id,
        detail: { stream, kind: 'terminal', session: row.session_id, job: row.job_id },
      }),
  })
  try {
    const answer = await ctx.tunnel.openViewer(request, grant, binary ? 'binary' : null)
    if (row.status === 'created') await started(viewer, id)
    return answer
  } catch (error) {
    if (error instanceof Problem && error.code === 'terminal_ended' && row.status !== 'ended') await lost(viewer, id)
    throw error
  }
}

function byToken(ctx: Ctx): { viewer: Ctx; stream: null } {
  if (ctx.actor.kind !== 'token') throw unauthorized()
  if (ctx.actor.via === 'cookie')
    throw new Problem('unauthorized', 'Streams are opened with a ticket (POST …/tickets), not with the cookie.')
  if (!holds(ctx.actor, 'exec')) throw new Problem('forbidden', 'This token lacks the scope exec.')
  return { viewer: ctx, stream: null }
}

async function byTicket(ctx: Ctx, secret: string, terminal: string): Promise<{ viewer: Ctx; stream: string | null }> {
  const { stream, role: _, ...holder } = await redeemTicket(ctx, secret, { terminal, stream: 'terminal' })
  return { viewer: { ...ctx, actor: { kind: 'ticket', ...holder } }, stream }
}

async function startOf(ctx: Ctx, row: TerminalRow): Promise<NonNullable<TerminalTarget['start']>> {
  const { shell, pod, container, cols, rows } = row
  const where = { ...(shell && { shell }), ...(pod && { pod }), ...(container && { container }) }
  const job = row.job_id === null ? {} : { job: await jobForAgent(ctx, row.job_id) }
  return { ...where, ...job, cols, rows, idle_timeout_ms: row.idle_timeout_seconds * 1000 }
}

function stillReadable(row: TerminalRow): boolean {
  const byItself = row.cause === 'exited' || row.cause === 'idle'
  return byItself && Date.now() - row.ended_at!.getTime() < readableSeconds * 1000
}

const ended = (reason: string | null) => new Problem('terminal_ended', reason ?? 'The terminal has ended.')

async function started(ctx: Ctx, id: string): Promise<void> {
  await ctx.db
    .update(terminals)
    .set({ status: 'running', started_at: sql`clock_timestamp()` as never })
    .where(and(eq(terminals.id, id), eq(terminals.status, 'created'), isNull(terminals.started_at)))
}

async function lost(ctx: Ctx, id: string): Promise<void> {
  await ctx.db.transaction(async tx => {
    const [row] = await tx
      .update(terminals)
      .set({ status: 'ended', cause: 'lost', reason: lostReason, ended_at: sql`clock_timestamp()` as never })
      .where(and(eq(terminals.id, id), ne(terminals.status, 'ended')))
      .returning()
    if (row) await tellEnded(tx, row, ctx.origin)
  })
}

export const lostReason = 'It was lost: the agent that kept it was restarted.'
