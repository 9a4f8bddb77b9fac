/** Takes an agent's list of terminals over, inside the fenced transaction of its report. */
import { and, eq, inArray, lt, ne, notInArray, sql } from 'drizzle-orm'
import type { Sql, Tx } from '#db/client.ts'
import { type TerminalCause, terminals } from '#db/schema.ts'
import type { ObservedTerminal } from '#protocol/terminal-frames.ts'
import { lostReason } from './open.ts'
import { tellEnded } from './service.ts'

const causes: readonly string[] = ['exited', 'idle', 'lost', 'session_ended', 'agent_stops', 'requested']
/** One that was just made may be missing from a list that was on its way. */
const tooNew = sql`clock_timestamp() - interval '60 seconds'`

export async function applyTerminals(
  tx: Tx,
  report: { cluster: string; complete: boolean; terminals?: ObservedTerminal[] | undefined },
  origin: string,
): Promise<void> {
  const { cluster, terminals: list } = report
  if (!list) return
  for (const item of list) {
    const seen = {
      cols: item.cols,
      rows: item.rows,
      last_activity_at: sql`clock_timestamp() - make_interval(secs => ${item.idle_ms / 1000})` as never,
      started_at: sql`coalesce(${terminals.started_at}, clock_timestamp())` as never,
    }
    const end = {
      status: 'ended' as const,
      exit_code: item.exit_code,
      cause: (causes.includes(item.cause) ? item.cause : 'lost') as TerminalCause,
      reason: item.reason?.slice(0, 500) ?? null,
      ended_at: sql`clock_timestamp()` as never,
    }
    const [row] = await tx
      .update(terminals)
      .set({ ...seen, ...(item.state === 'ended' ? end : { status: 'running' as const }) })
      .where(and(eq(terminals.id, item.id), eq(terminals.cluster_id, cluster), ne(terminals.status, 'ended')))
      .returning()
    if (row?.status === 'ended') await tellEnded(tx, row, origin)
  }
  if (report.complete) await endMissing(tx, cluster, list, origin)
}

async function endMissing(tx: Tx, cluster: string, list: ObservedTerminal[], origin: string): Promise<void> {
  const known = list.map(item => item.id)
  const rows = await tx
    .update(terminals)
    .set({ status: 'ended', cause: 'lost', reason: lostReason, ended_at: sql`clock_timestamp()` as never })
    .where(
      and(
        eq(terminals.cluster_id, cluster),
        eq(terminals.status, 'running'),
        lt(terminals.started_at, tooNew),
        known.length > 0 ? notInArray(terminals.id, known) : undefined,
      ),
    )
    .returning()
  for (const row of rows) await tellEnded(tx, row, origin)
}

/** Seconds that ended terminals can still be looked up; those that nobody may see go as soon as agents need not be told any more. */
export const terminalRetention = { ended: 86_400, deleted: 3_700 }

export async function sweepOldTerminals(db: Sql): Promise<void> {
  const ago = (seconds: number) => sql`clock_timestamp() - make_interval(secs => ${seconds})`
  const over = db
    .select({ id: terminals.id })
    .from(terminals)
    .where(
      sql`${terminals.deleted_at} < ${ago(terminalRetention.deleted)} or ${terminals.ended_at} < ${ago(terminalRetention.ended)}`,
    )
  await db.delete(terminals).where(inArray(terminals.id, over))
}
