/** Writes the audit row of a change; always inside the change's own transaction, so that neither exists without the other. */
import type { Sql } from '#db/client.ts'
import { audit } from '#db/schema.ts'
import type { Actor, Ctx } from '../context.ts'
import { newId } from '../ids.ts'

export interface AuditEntry {
  /** `session.create`, `token.revoke`, `stream.open`, … */
  action: string
  /** Id of what was acted on. */
  target: string
  project: string | null
  outcome?: 'ok' | 'refused' | 'failed'
  /** Facts without secrets. */
  detail?: Record<string, unknown>
}

type Recorder = Pick<Ctx, 'actor' | 'address' | 'requestId'>

export async function recordAudit(sql: Sql, ctx: Recorder, entry: AuditEntry): Promise<void> {
  await sql.insert(audit).values(auditRow(ctx, entry))
}

export function auditRow(ctx: Recorder, entry: AuditEntry) {
  return {
    id: newId('aud'),
    project_id: entry.project,
    ...who(ctx.actor),
    action: entry.action,
    target: entry.target,
    outcome: entry.outcome ?? 'ok',
    address: ctx.address || null,
    request_id: ctx.requestId,
    detail: entry.detail ?? {},
  }
}

function who(actor: Actor): { actor_kind: string; actor: string; token_id: string | null } {
  switch (actor.kind) {
    case 'token':
      return { actor_kind: 'token', actor: actor.user, token_id: actor.token }
    case 'agent':
      return { actor_kind: 'agent', actor: actor.agent, token_id: null }
    case 'ticket':
      return { actor_kind: actor.link ? 'link' : 'token', actor: actor.link ?? actor.user, token_id: actor.token }
    default:
      return { actor_kind: actor.kind, actor: actor.kind, token_id: null }
  }
}
