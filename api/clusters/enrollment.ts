/** Join tokens: single use, an hour by default, stored as SHA-256. The commands are what a person pastes where the agent shall run. */
import { sql } from 'drizzle-orm'
import type { Sql } from '#db/client.ts'
import { enrollments } from '#db/schema.ts'
import { type Ctx, tokenActor } from '../context.ts'
import { mintSecret } from '../tokens/format.ts'
import type { Enrollment } from './schema.ts'

export async function newEnrollment(tx: Sql, ctx: Ctx, cluster: string, seconds: number): Promise<Enrollment> {
  const token = mintSecret('join')
  const [row] = await tx
    .insert(enrollments)
    .values({
      hash: await ctx.sha256(token),
      cluster_id: cluster,
      created_by: tokenActor(ctx).token,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${seconds})`,
    })
    .returning({ expires_at: enrollments.expires_at })
  const commands = installCommands(ctx.origin, token, ctx.config.agentImages)
  return { token, expires_at: row!.expires_at.toISOString(), command: commands.kubernetes, commands }
}

/** Neither an origin nor a token nor an image's name can hold a character that a shell reads otherwise. */
export function installCommands(origin: string, token: string, images?: string): Enrollment['commands'] {
  const tagAt = images?.lastIndexOf(':') ?? -1
  const where = images ? ` --set images.prefix=${images.slice(0, tagAt)} --set images.tag=${images.slice(tagAt + 1)}` : ''
  return {
    kubernetes:
      'helm install porthole-agent deploy/helm/porthole-agent --namespace porthole-system --create-namespace' +
      ` --set url=${origin} --set joinToken=${token}${where}`,
    local: `PORTHOLE_URL=${origin} PORTHOLE_JOIN_TOKEN=${token} PORTHOLE_RUNTIME=local npm run agent`,
  }
}
