import type { Ctx } from '../context.ts'
import type { SessionRow } from './view.ts'

/**
 * A warm session that was just taken lets nobody in before its agent has heard whose it is, and its create did not hurry the agent: whoever wants in does.
 */
export function hurrySettling(ctx: Ctx, { settling, cluster_id }: Pick<SessionRow, 'settling' | 'cluster_id'>): void {
  if (settling && cluster_id) ctx.defer(ctx.tunnel.nudge(cluster_id))
}
