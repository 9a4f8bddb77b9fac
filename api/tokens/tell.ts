import type { Sql } from '#db/client.ts'
import { recordAudit } from '../audit/record.ts'
import type { Ctx } from '../context.ts'
import { emitEvent } from '../events/emit.ts'
import type { TokenRow } from './view.ts'

/** The event carries no more than the id: whoever may read events need not be one who may see tokens. */
export async function told(tx: Sql, ctx: Ctx, row: TokenRow, verb: string, detail: Record<string, unknown>): Promise<void> {
  await recordAudit(tx, ctx, { action: `token.${verb}`, target: row.id, project: row.project_id, detail })
  await emitEvent(tx, { type: 'token.updated', project: row.project_id, data: { token: { id: row.id, object: 'token' } } })
}
