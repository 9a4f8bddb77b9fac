/** A volume as tar.gz, streamed through the tunnel: neither the API nor the agent ever holds more than a window of it. */
import { eq } from 'drizzle-orm'
import { clusters } from '#db/schema.ts'
import { recordAudit } from '../audit/record.ts'
import type { Ctx } from '../context.ts'
import { Problem } from '../problem.ts'
import { clusterOnline } from '../sessions/read.ts'
import { writeGrant } from '../streams/grant.ts'
import { answerOrProblem } from '../streams/host-exchange.ts'
import { volumeForArchive } from './service.ts'

export async function volumeArchive(ctx: Ctx, id: string, method: 'GET' | 'PUT', request: Request): Promise<Response> {
  const { row, cluster } = await volumeForArchive(ctx, id, method)
  const [at] = await ctx.db.select({ online: clusterOnline }).from(clusters).where(eq(clusters.id, cluster))
  if (!at?.online)
    throw new Problem('cluster_offline', 'The cluster of this volume is offline.', { headers: { 'retry-after': '5' } })
  const length = request.headers.get('content-length')
  if (Number(length ?? 0) > ctx.config.maxUpload) throw new Problem('too_large', `At most ${ctx.config.maxUpload} bytes.`)
  const grant = await writeGrant(ctx, {
    project: row.project_id,
    session: row.id,
    cluster,
    kind: 'http',
    role: 'control',
    clipboard: 'none',
    target: {
      volume: row.id,
      request: { method, path: '/archive', headers: method === 'PUT' && length !== null ? { 'content-length': length } : {} },
    },
    audit: tx =>
      recordAudit(tx, ctx, {
        action: method === 'GET' ? 'volume.download' : 'volume.upload',
        target: row.id,
        project: row.project_id,
      }),
  })
  const answer = await ctx.tunnel.openHttp(grant, method === 'PUT' ? request.body : null, request.signal)
  return answerOrProblem(answer, method === 'PUT' ? '' : undefined)
}
