/** `GET /v1/audit`: what was changed, by whom, through what. JSON pages, or the whole selection as CSV or NDJSON, streamed. */
import { z } from '@hono/zod-openapi'
import { and, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm'
import { audit } from '#db/schema.ts'
import { type Ctx, projectWall, tokenActor } from '../context.ts'
import { databaseNow } from '../database-clock.ts'
import { afterCursor, PageQuery, page, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, newRouter, route } from '../route.ts'
import { checkChain } from './chain.ts'
import { csvHead, csvLine } from './csv.ts'

const time = z.iso.datetime({ offset: true })

export const AuditRecord = z
  .object({
    id: z.string(),
    object: z.literal('audit_record'),
    created_at: z.string(),
    project: z.string().nullable(),
    actor: z.object({ kind: z.string(), id: z.string(), token: z.string().nullable() }),
    action: z.string(),
    target: z.string(),
    outcome: z.string(),
    address: z.string().nullable(),
    request_id: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
  })
  .openapi('AuditRecord')
export type AuditRecord = z.infer<typeof AuditRecord>

const Filters = z.object({
  action: z.string().max(64).optional().openapi({ description: 'Exact, or a family: `session.*`.' }),
  actor: z.string().max(64).optional(),
  token: z.string().max(64).optional(),
  target: z.string().max(64).optional(),
  outcome: z.enum(['ok', 'refused', 'failed']).optional(),
  project: z.string().max(64).optional().openapi({ description: 'Admins only.' }),
  since: time.optional(),
  until: time.optional(),
})
type Filters = z.infer<typeof Filters>

const list = route({
  access: 'admin',
  operationId: 'listAudit',
  method: 'get',
  path: '/v1/audit',
  tags: ['Audit'],
  summary: 'Every change and every stream, newest first',
  description: '`Accept: text/csv` or `application/x-ndjson` exports the whole selection, oldest first.',
  request: { query: PageQuery.extend(Filters.shape) },
  responses: {
    200: {
      description: 'A page, or the export',
      content: {
        'application/json': { schema: pageOf(AuditRecord, 'AuditList') },
        'text/csv': { schema: { type: 'string' } },
        'application/x-ndjson': { schema: { type: 'string' } },
      },
    },
  },
})

const AuditChain = z
  .object({
    id: z.string().openapi({ description: 'The project; `none`: what belongs to no project.' }),
    object: z.literal('audit_chain'),
    length: z.int().openapi({ description: 'Links made since the beginning; a record is linked within seconds.' }),
    head: z
      .string()
      .nullable()
      .openapi({ description: 'Newest hash. Kept elsewhere, it proves later that nothing before it was changed.' }),
    checked: z.int().openapi({ description: 'Links looked at: older ones went with their records.' }),
    intact: z.boolean(),
    broken: z.array(z.string()).openapi({ description: 'Records that do not fit their place in the chain, the oldest 20.' }),
    created_at: z.string().openapi({ description: 'When it was looked at.' }),
  })
  .openapi('AuditChain')

const chain = route({
  access: 'admin',
  operationId: 'checkAuditChain',
  method: 'get',
  path: '/v1/audit/chain',
  tags: ['Audit'],
  summary: 'Whether the audit of a project is as it was written',
  description: 'SHA-256 over the hash of the record before and the record itself, from the first record on.',
  request: {
    query: z.object({ project: z.string().max(64).optional().openapi({ description: 'Absent: the acting project.' }) }),
  },
  responses: { 200: json(AuditChain, 'What was found') },
})

type Row = typeof audit.$inferSelect

function auditView(row: Row): AuditRecord {
  return {
    id: row.id,
    object: 'audit_record',
    created_at: row.created_at.toISOString(),
    project: row.project_id,
    actor: { kind: row.actor_kind, id: row.actor, token: row.token_id },
    action: row.action,
    target: row.target,
    outcome: row.outcome,
    address: row.address,
    request_id: row.request_id,
    detail: row.detail,
  }
}

function selected(ctx: Ctx, filters: Filters): SQL | undefined {
  const wall = projectWall(ctx)
  const family = filters.action?.endsWith('.*') ? filters.action.slice(0, -1) : null
  return and(
    wall === null ? undefined : eq(audit.project_id, wall),
    filters.project ? eq(audit.project_id, filters.project) : undefined,
    family !== null
      ? sql`starts_with(${audit.action}, ${family})`
      : filters.action
        ? eq(audit.action, filters.action)
        : undefined,
    filters.actor ? eq(audit.actor, filters.actor) : undefined,
    filters.token ? eq(audit.token_id, filters.token) : undefined,
    filters.target ? eq(audit.target, filters.target) : undefined,
    filters.outcome ? eq(audit.outcome, filters.outcome) : undefined,
    filters.since ? gte(audit.created_at, new Date(filters.since)) : undefined,
    filters.until ? lt(audit.created_at, new Date(filters.until)) : undefined,
  )
}

export const mountAudit: Mount = app => {
  const router = newRouter()
  router.openapi(list, async c => {
    const { ctx } = c.var
    const { limit, cursor, ...filters } = c.req.valid('query')
    const accept = c.req.header('accept') ?? ''
    if (accept.includes('text/csv')) return exported(ctx, filters, 'csv') as never
    if (accept.includes('application/x-ndjson')) return exported(ctx, filters, 'ndjson') as never
    const rows = await ctx.db
      .select()
      .from(audit)
      .where(and(selected(ctx, filters), afterCursor(cursor, audit.created_at, audit.id)))
      .orderBy(desc(audit.created_at), desc(audit.id))
      .limit(limit + 1)
    return c.json(page(rows, limit, auditView), 200)
  })
  router.openapi(chain, async c => {
    const { ctx } = c.var
    const id = c.req.valid('query').project ?? tokenActor(ctx).project
    const [facts, now] = await Promise.all([checkChain(ctx.db, id === 'none' ? '' : id), databaseNow(ctx.db)])
    const { length, head, checked, broken } = facts
    const intact = broken.length === 0
    const created_at = now.toISOString()
    return c.json({ id, object: 'audit_chain' as const, length, head, checked, intact, broken, created_at }, 200)
  })
  app.route('/', router)
}

function exported(ctx: Ctx, filters: Filters, format: 'csv' | 'ndjson'): Response {
  const encoder = new TextEncoder()
  const lines = exportLines(ctx, filters, format)
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await lines.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(value))
    },
    cancel: async () => void (await lines.return(undefined)),
  })
  const type = format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson'
  return new Response(body, {
    headers: {
      'content-type': type,
      'content-disposition': `attachment; filename="audit.${format}"`,
      'cache-control': 'no-store',
    },
  })
}

/** Pages by key, so that neither memory nor a long transaction grows with the export. */
async function* exportLines(ctx: Ctx, filters: Filters, format: 'csv' | 'ndjson'): AsyncGenerator<string> {
  if (format === 'csv') yield csvHead
  let after: { at: Date; id: string } | null = null
  for (;;) {
    const rows: Row[] = await ctx.db
      .select()
      .from(audit)
      .where(
        and(
          selected(ctx, filters),
          after ? sql`(${audit.created_at}, ${audit.id}) > (${after.at.toISOString()}::timestamptz, ${after.id})` : undefined,
        ),
      )
      .orderBy(audit.created_at, audit.id)
      .limit(500)
    if (rows.length === 0) return
    const last = rows.at(-1)!
    after = { at: last.created_at, id: last.id }
    yield rows.map(row => (format === 'csv' ? csvLine(auditView(row)) : `${JSON.stringify(auditView(row))}\n`)).join('')
  }
}
