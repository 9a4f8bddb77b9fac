/** Whether it lives, how loaded it is. `/health` asks nobody; `/ready` asks the database; `/metrics` at most once a second. */
import { z } from '@hono/zod-openapi'
import { sql } from 'drizzle-orm'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { json, problemAnswers, route } from '../route.ts'
import { exposition, expositionType } from './exposition.ts'
import { databaseFamilies, processFamilies } from './metrics.ts'
import { ClusterFiguresList, Status, SystemFigures } from './schema.ts'
import { clusterFigures, getStatus, systemFigures } from './service.ts'

const tags = ['Status']
const Health = z.object({ status: z.literal('ok'), version: z.string() }).openapi('Health')

const health = route({
  method: 'get',
  path: '/health',
  operationId: 'health',
  access: 'public',
  tags,
  summary: 'The process answers',
  responses: { 200: json(Health, 'It does.') },
})

const ready = route({
  method: 'get',
  path: '/ready',
  operationId: 'ready',
  access: 'public',
  tags,
  summary: 'The process can serve: its database answers',
  responses: { 200: json(Health, 'It can.'), ...problemAnswers('unavailable') },
})

const metrics = route({
  method: 'get',
  path: '/metrics',
  operationId: 'metrics',
  access: 'public',
  tags,
  summary: 'Figures for Prometheus',
  responses: { 200: { description: 'Text format 0.0.4.', content: { 'text/plain': { schema: z.string() } } } },
})

const status = route({
  method: 'get',
  path: '/v1/status',
  operationId: 'getStatus',
  access: 'token',
  tags,
  summary: 'Load: active, queued, capacity, accepting',
  responses: { 200: json(Status, 'The load now.') },
})

const system = route({
  method: 'get',
  path: '/v1/monitor/system',
  operationId: 'monitorSystem',
  access: 'admin',
  tags,
  summary: 'Figures of the replica that answers and of the database',
  responses: { 200: json(SystemFigures, 'Figures.') },
})

const monitorClusters = route({
  method: 'get',
  path: '/v1/monitor/clusters',
  operationId: 'monitorClusters',
  access: 'clusters:read',
  tags,
  summary: 'Figures of each cluster',
  responses: { 200: json(ClusterFiguresList, 'Clusters, newest first.') },
})

const readyWithinMs = 3_000
const scrapeEveryMs = 1_000

export const mountStatus: Mount = (app, { platform, meter }) => {
  let scraped = { at: Number.NEGATIVE_INFINITY, text: Promise.resolve('') }
  app.openapi(health, c => c.json({ status: 'ok' as const, version: platform.config.version }, 200))
  app.openapi(ready, async c => {
    const { db } = c.var.ctx
    const answered = await within(readyWithinMs, db.execute(sql`select 1`))
    if (!answered) throw new Problem('unavailable', 'The database does not answer.', { headers: { 'retry-after': '1' } })
    return c.json({ status: 'ok' as const, version: platform.config.version }, 200)
  })
  app.openapi(metrics, async c => {
    if (performance.now() - scraped.at > scrapeEveryMs) {
      const { db } = c.var.ctx
      const text = within(readyWithinMs, databaseFamilies(db)).then(families =>
        exposition([
          ...processFamilies(platform.processFigures(), platform.config.version, families !== null),
          ...(families ?? []),
          ...meter.families(),
        ]),
      )
      scraped = { at: performance.now(), text }
    }
    return c.text(await scraped.text, 200, { 'content-type': expositionType })
  })
  app.openapi(status, async c => c.json(await getStatus(c.var.ctx), 200))
  app.openapi(system, async c => c.json(await systemFigures(c.var.ctx, platform.processFigures()), 200))
  app.openapi(monitorClusters, async c => {
    const data = await clusterFigures(c.var.ctx)
    return c.json({ object: 'list' as const, data, has_more: false, next_cursor: null }, 200)
  })
}

/** null: it failed, or took longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const late = Promise.withResolvers<null>()
  const timer = setTimeout(() => late.resolve(null), ms)
  try {
    return await Promise.race([work.catch(() => null), late.promise])
  } finally {
    clearTimeout(timer)
  }
}
