/** Reading terminals: behind the project wall, never a deleted one. */
import { and, desc, eq, isNull, ne, type SQL } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { terminals } from '#db/schema.ts'
import { type Ctx, projectWall } from '../context.ts'
import { findJob } from '../jobs/read.ts'
import { afterCursor, page } from '../paging.ts'
import { notFound } from '../problem.ts'
import { findSession } from '../sessions/read.ts'
import type { Terminal, TerminalFilters } from './schema.ts'

export type TerminalRow = typeof terminals.$inferSelect

export function terminalView(row: TerminalRow, origin: string): Terminal {
  return {
    id: row.id,
    object: 'terminal',
    project: row.project_id,
    user: row.user_id,
    cluster: row.cluster_id,
    session: row.session_id,
    job: row.job_id,
    pod: row.pod,
    container: row.container,
    shell: row.shell,
    cols: row.cols,
    rows: row.rows,
    status: row.status,
    status_reason: row.reason,
    exit_code: row.exit_code,
    idle_timeout_seconds: row.idle_timeout_seconds,
    url: `${origin.replace(/^http/, 'ws')}/v1/terminals/${row.id}`,
    created_at: row.created_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    last_activity_at: row.last_activity_at?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
  }
}

export function visibleTerminals(ctx: Ctx): SQL | undefined {
  const wall = projectWall(ctx)
  return and(isNull(terminals.deleted_at), wall === null ? undefined : eq(terminals.project_id, wall))
}

export async function findTerminal(ctx: Ctx, id: string, db: Sql = ctx.db): Promise<TerminalRow> {
  const [row] = await db
    .select()
    .from(terminals)
    .where(and(eq(terminals.id, id), visibleTerminals(ctx)))
    .limit(1)
  if (!row) throw notFound('terminal')
  // Whoever may not see the session may not see what is in it.
  if (row.session_id) await findSession(ctx, row.session_id, db)
  if (row.job_id) await findJob(ctx, row.job_id, db)
  return row
}

export async function getTerminal(ctx: Ctx, id: string): Promise<Terminal> {
  return terminalView(await findTerminal(ctx, id), ctx.origin)
}

export async function listTerminals(ctx: Ctx, query: TerminalFilters) {
  const rows = await ctx.db
    .select()
    .from(terminals)
    .where(
      and(
        visibleTerminals(ctx),
        query.session ? eq(terminals.session_id, query.session) : undefined,
        query.job ? eq(terminals.job_id, query.job) : undefined,
        query.status === 'active' ? ne(terminals.status, 'ended') : undefined,
        query.status && query.status !== 'active' ? eq(terminals.status, query.status) : undefined,
        afterCursor(query.cursor, terminals.created_at, terminals.id),
      ),
    )
    .orderBy(desc(terminals.created_at), desc(terminals.id))
    .limit(query.limit + 1)
  return page(rows, query.limit, row => terminalView(row, ctx.origin))
}
