/** Verbs of terminals. The row says that one may exist; the shell itself is made by the agent when it is first opened (open.ts). */
import { and, eq, ne, type SQL, sql } from 'drizzle-orm'
import type { Tx } from '#db/client.ts'
import { projects, type TerminalCause, terminals, tickets } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import { newId } from '../ids.ts'
import { invalid, Problem } from '../problem.ts'
import { takeSeq } from '../sessions/desired.ts'
import { ticketSeconds, ticketTimes } from '../streams/tickets.ts'
import { mintSecret } from '../tokens/format.ts'
import { findTerminal, type TerminalRow, terminalView, visibleTerminals } from './read.ts'
import type { Terminal, TerminalCreate } from './schema.ts'
import { placeOf, reachable } from './target.ts'

/** Not ended, at one time. */
export const terminalLimits = { perTarget: 16, perProject: 100 } as const

export async function createTerminal(ctx: Ctx, input: TerminalCreate): Promise<Terminal> {
  const actor = tokenActor(ctx)
  const place = await placeOf(ctx, input)
  await reachable(ctx, place.cluster, place.job === null ? 'exec' : 'exec_jobs')
  return ctx.db.transaction(async tx => {
    await takePlace(tx, place)
    const { pod, container, shell, cols, rows, idle_timeout_seconds } = input
    const [row] = await tx
      .insert(terminals)
      .values({
        id: newId('trm'),
        project_id: place.project,
        user_id: actor.user,
        token_id: actor.token,
        cluster_id: place.cluster,
        session_id: place.session,
        job_id: place.job,
        pod: pod ?? null,
        container: container ?? null,
        shell: shell ?? null,
        cols,
        rows,
        idle_timeout_seconds,
      })
      .returning()
    const detail = { session: place.session, job: place.job, ...(container && { container }), ...(shell && { shell }) }
    await recordAudit(tx, ctx, { action: 'terminal.create', target: row!.id, project: place.project, detail })
    const terminal = terminalView(row!, ctx.origin)
    await emitEvent(tx, { type: 'terminal.created', project: place.project, ...sessionOf(row!), data: { terminal } })
    return terminal
  })
}

/** The project's row is locked, then what lives is counted: of any number at once only as many get in as there is room for. */
async function takePlace(tx: Tx, place: { project: string; session: string | null; job: string | null }): Promise<void> {
  await tx.select({ id: projects.id }).from(projects).where(eq(projects.id, place.project)).for('update')
  const [used] = await tx
    .select({
      project: sql<number>`count(*)::int`,
      target: sql<number>`count(*) filter (where ${terminals.session_id} is not distinct from ${place.session} and ${terminals.job_id} is not distinct from ${place.job})::int`,
    })
    .from(terminals)
    .where(and(eq(terminals.project_id, place.project), ne(terminals.status, 'ended')))
  const { perTarget, perProject } = terminalLimits
  if (used!.target >= perTarget) throw tooManyTerminals(`${place.session ? 'a session' : 'a job'} has at most ${perTarget}`)
  if (used!.project >= perProject) throw tooManyTerminals(`a project has at most ${perProject}`)
}

const tooManyTerminals = (limit: string) =>
  new Problem('quota_exceeded', `Too many terminals: ${limit} at once. Close one.`, {
    errors: [{ pointer: 'terminals', detail: limit }],
  })

/** Ends it, wherever it is, and forgets it. */
export async function deleteTerminal(ctx: Ctx, id: string): Promise<void> {
  await findTerminal(ctx, id)
  await deleteWhere(ctx, eq(terminals.id, id))
}

/** All of one session or job; answers how many. */
export async function deleteTerminalsOf(ctx: Ctx, of: { session?: string | undefined; job?: string | undefined }): Promise<void> {
  if (of.session !== undefined) await deleteWhere(ctx, eq(terminals.session_id, of.session))
  else if (of.job !== undefined) await deleteWhere(ctx, eq(terminals.job_id, of.job))
  else throw invalid('?session', 'Say of which session or job.')
}

async function deleteWhere(ctx: Ctx, which: SQL): Promise<void> {
  const clusters = await ctx.db.transaction(async tx => {
    const rows = await tx
      .select()
      .from(terminals)
      .where(and(which, visibleTerminals(ctx)))
    const touched = new Set<string>()
    for (const row of rows) {
      await recordAudit(tx, ctx, { action: 'terminal.delete', target: row.id, project: row.project_id })
      if (row.status !== 'ended') await endTerminal(tx, row, 'requested', 'The terminal was closed.', ctx.origin)
      // What ended by itself can still be read at the agent: not any more.
      else
        await tx
          .update(terminals)
          .set({ change_seq: await takeSeq(tx, row.cluster_id) })
          .where(eq(terminals.id, row.id))
      await tx
        .update(terminals)
        .set({ deleted_at: sql`clock_timestamp()` as never })
        .where(eq(terminals.id, row.id))
      touched.add(row.cluster_id)
    }
    return touched
  })
  for (const cluster of clusters) await ctx.afterCommit(() => ctx.tunnel.nudge(cluster))
}

/** Ends the row and lets the agent know with the cluster's next number; its streams end with it. */
export async function endTerminal(tx: Tx, row: TerminalRow, cause: TerminalCause, reason: string, origin: string): Promise<void> {
  const change = { status: 'ended', cause, reason, ended_at: sql`clock_timestamp()` as never } as const
  const [ended] = await tx
    .update(terminals)
    .set({ ...change, change_seq: await takeSeq(tx, row.cluster_id) })
    .where(and(eq(terminals.id, row.id), ne(terminals.status, 'ended')))
    .returning()
  if (ended) await tellEnded(tx, ended, origin)
}

export async function tellEnded(tx: Tx, row: TerminalRow, origin: string): Promise<void> {
  const terminal = terminalView(row, origin)
  await emitEvent(tx, { type: 'terminal.ended', project: row.project_id, ...sessionOf(row), data: { terminal } })
}

const sessionOf = (row: TerminalRow) => (row.session_id ? { session: row.session_id } : {})

/** For browsers, which cannot send headers with a WebSocket. */
export async function terminalTicket(ctx: Ctx, id: string) {
  const actor = tokenActor(ctx)
  const row = await findTerminal(ctx, id)
  const secret = mintSecret('tk')
  const viewer = newId('str')
  const [stored] = await ctx.db
    .insert(tickets)
    .values({
      hash: await ctx.sha256(secret),
      session_id: row.session_id,
      terminal_id: row.id,
      project_id: row.project_id,
      token_id: actor.token,
      user_id: actor.user,
      stream: 'terminal',
      role: 'control',
      stream_id: viewer,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${ticketSeconds})` as never,
    })
    .returning({ expires_at: tickets.expires_at })
  return {
    id: viewer,
    object: 'ticket' as const,
    ticket: secret,
    url: terminalView(row, ctx.origin).url,
    stream: 'terminal' as const,
    viewer,
    ...ticketTimes(stored!.expires_at),
  }
}
