/** Redeems a join token: one guarded UPDATE uses it up and puts the agent's public key on its cluster, replacing a former agent's. */

import { sql } from 'drizzle-orm'
import { importJWK } from 'jose'
import type { EnrollRequest, EnrollResponse } from '#protocol/agent-identity.ts'
import { recordAudit } from '../audit/record.ts'
import { unauthorized } from '../auth.ts'
import type { Ctx } from '../context.ts'
import { newId } from '../ids.ts'
import { invalid } from '../problem.ts'
import { isSecret } from '../tokens/format.ts'

export async function enrollAgent(ctx: Ctx, input: EnrollRequest): Promise<EnrollResponse> {
  if (!isSecret('join', input.join_token)) throw unauthorized()
  const { kty, crv, x } = input.public_key
  await importJWK({ kty, crv, x }, 'EdDSA').catch(() => {
    throw invalid('/public_key/x', 'This is not an Ed25519 public key.')
  })
  const hash = await ctx.sha256(input.join_token)
  const agent = newId('agt')
  const cluster = await ctx.db.transaction(async tx => {
    const [row] = await tx.execute<{ id: string; name: string; project_id: string | null }>(sql`
      with redeemed as (
        update enrollments set used_at = clock_timestamp()
        where hash = ${hash} and used_at is null and expires_at > clock_timestamp()
        returning cluster_id
      )
      update clusters set agent_id = ${agent}, agent_public_key = ${JSON.stringify({ kty, crv, x })}::jsonb,
        agent_version = ${input.agent_version}
      from redeemed where clusters.id = redeemed.cluster_id
      returning clusters.id, clusters.name, clusters.project_id`)
    if (!row) return null
    const actor = { kind: 'agent', agent, cluster: row.id } as const
    await recordAudit(tx, { ...ctx, actor }, { action: 'agent.enroll', target: row.id, project: row.project_id })
    return { id: row.id, name: row.name }
  })
  if (!cluster) throw unauthorized()
  // A former agent's link ends at once instead of with the next poll.
  ctx.defer(ctx.tunnel.nudge(cluster.id))
  return { agent, cluster }
}
