/** Everything that reaches into a running session: viewers' WebSockets, tickets, screenshot, logs, files, metrics. */
import { z } from '@hono/zod-openapi'
import type { Ctx } from '../context.ts'
import { pageOf } from '../paging.ts'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { declareRoute, json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { askHost, fromSession, readLogs } from './host-exchange.ts'
import { createTicket, Ticket, TicketCreate, upgradeParameters } from './tickets.ts'
import { openViewer } from './viewer.ts'

const tags = ['Streams']
const params = z.object({ id: z.string().max(64) })
const reaching = problemAnswers(
  'not_found',
  'conflict',
  'session_not_running',
  'target_refused',
  'cluster_offline',
  'no_capacity',
  'target_timeout',
)

const tickets = route({
  access: 'sessions:connect',
  operationId: 'createTicket',
  secretAnswer: true,
  method: 'post',
  path: '/v1/sessions/{id}/tickets',
  tags,
  summary: 'A single-use ticket (30 s) that opens one stream, for browsers',
  request: { params, body: jsonBody(TicketCreate) },
  responses: { 201: json(Ticket, 'The ticket'), ...problemAnswers('not_found', 'rate_limited') },
})

const viewer = (stream: 'vnc' | 'playwright' | 'cdp', what: string) =>
  route({
    access: 'ticket',
    operationId: `${stream}Stream`,
    method: 'get',
    path: `/v1/sessions/{id}/${stream}`,
    tags,
    summary: `WebSocket: ${what}`,
    parameters: upgradeParameters,
    request: { params },
    responses: {
      101: { description: 'The stream, once the session has answered' },
      ...reaching,
      ...problemAnswers('upgrade_required', 'playwright_version'),
    },
  })

const ports = route({
  access: 'ticket',
  operationId: 'portStream',
  method: 'get',
  path: '/v1/sessions/{id}/ports/{port}',
  tags,
  summary: 'WebSocket: raw bytes of a TCP port that the template declares',
  parameters: upgradeParameters,
  request: { params: params.extend({ port: z.coerce.number().int().min(1).max(65535) }) },
  responses: { 101: { description: 'The stream' }, ...reaching, ...problemAnswers('upgrade_required') },
})

const screenshot = route({
  access: 'sessions:read',
  operationId: 'screenshot',
  method: 'get',
  path: '/v1/sessions/{id}/screenshot',
  tags,
  summary: 'The screen now, as PNG',
  request: {
    params,
    query: z.object({
      width: z.coerce.number().int().min(16).max(7680).optional().openapi({ description: 'Scaled down to this width.' }),
    }),
  },
  responses: {
    200: { description: 'PNG', content: { 'image/png': { schema: { type: 'string', format: 'binary' } } } },
    ...reaching,
  },
})

const flag = z.enum(['true', 'false', '1', '0', '']).transform(word => word !== 'false' && word !== '0')

const logs = route({
  access: 'sessions:read',
  operationId: 'sessionLogs',
  method: 'get',
  path: '/v1/sessions/{id}/logs',
  tags,
  summary: 'What its programs wrote',
  request: {
    params,
    query: z.object({
      tail_lines: z.coerce.number().int().min(0).max(100_000).optional(),
      follow: flag.optional(),
      container: z.string().max(63).optional(),
    }),
  },
  responses: { 200: { description: 'Text, streamed', content: { 'text/plain': { schema: { type: 'string' } } } }, ...reaching },
})

const SessionMetrics = z
  .object({
    id: z.string().openapi({ description: 'The session.' }),
    object: z.literal('session_metrics'),
    cpu_seconds: z.number().optional(),
    cpu_millis: z.number().optional(),
    memory_bytes: z.number().optional(),
    memory_limit_bytes: z.number().nullable().optional(),
    processes: z.int().optional(),
    created_at: z.string().openapi({ description: 'When the figures were taken.' }),
  })
  .catchall(z.unknown())
  .openapi('SessionMetrics')

const metrics = route({
  access: 'sessions:read',
  operationId: 'sessionMetrics',
  method: 'get',
  path: '/v1/sessions/{id}/metrics',
  tags,
  summary: 'CPU, memory and processes of the session',
  request: { params },
  responses: { 200: json(SessionMetrics, 'Figures, as its host counts them now'), ...reaching },
})

const fileParams = z.object({
  id: z.string().max(64),
  path: z.string().openapi({ description: 'Below the session’s home; empty: the home itself.' }),
})
const FileEntry = z
  .object({
    object: z.literal('file'),
    name: z.string(),
    type: z.enum(['file', 'folder', 'link', 'other']),
    size: z.int(),
    modified_at: z.string().openapi({ format: 'date-time' }),
  })
  .openapi('FileEntry')
/** As the session’s host tells them. */
const ToldEntries = z.object({ entries: z.array(FileEntry.omit({ object: true })) })
const bytes = { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } } as const
const home = route({
  access: 'sessions:read',
  operationId: 'listHome',
  method: 'get',
  path: '/v1/sessions/{id}/files',
  tags: ['Files'],
  summary: 'What is in the session’s home, by name',
  request: { params },
  responses: { 200: json(pageOf(FileEntry, 'FileList'), 'Files and folders'), ...reaching },
})
const fileRoute = (method: 'get' | 'put' | 'delete', operationId: string, summary: string) => ({
  access: method === 'get' ? ('sessions:read' as const) : ('sessions:write' as const),
  operationId,
  method,
  path: '/v1/sessions/{id}/files/{path}',
  tags: ['Files'],
  summary,
  request: { params: fileParams, ...(method === 'put' ? { body: { content: bytes } } : {}) },
  responses: {
    ...(method === 'get'
      ? {
          200: {
            description: 'The bytes; of a folder, the list of what is in it, by name',
            content: { ...bytes, 'application/json': { schema: pageOf(FileEntry, 'FileList') } },
          },
        }
      : {}),
    ...(method === 'get' ? {} : { 204: { description: 'Done' } }),
    ...reaching,
    ...problemAnswers('conflict', 'too_large'),
  },
})

export const mountStreams: Mount = app => {
  const router = newRouter()
  router.openapi(tickets, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await createTicket(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 201)
  })
  // An upgraded socket is not an HTTP answer that zod-openapi could type.
  const upgraded = (response: Response) => response as never
  router.openapi(viewer('vnc', 'the screen as binary RFB'), async c =>
    upgraded(await openViewer(c.var.ctx, c.req.raw, c.req.valid('param').id, 'vnc')),
  )
  router.openapi(viewer('playwright', 'the Playwright protocol'), async c =>
    upgraded(await openViewer(c.var.ctx, c.req.raw, c.req.valid('param').id, 'playwright')),
  )
  router.openapi(viewer('cdp', 'the Chrome DevTools Protocol'), async c =>
    upgraded(await openViewer(c.var.ctx, c.req.raw, c.req.valid('param').id, 'cdp')),
  )
  router.openapi(ports, async c => {
    const { id, port } = c.req.valid('param')
    return upgraded(await openViewer(c.var.ctx, c.req.raw, id, 'port', port))
  })
  router.openapi(screenshot, async c => {
    const { width } = c.req.valid('query')
    const path = width ? `/screenshot?width=${width}` : '/screenshot'
    const answer = await askHost(
      c.var.ctx,
      c.req.valid('param').id,
      { request: { method: 'GET', path, headers: {} } },
      c.req.raw.signal,
    )
    return upgraded(fromSession(answer, { 'content-type': 'image/png', 'cache-control': 'no-store' }))
  })
  router.openapi(logs, async c => {
    const { tail_lines, follow, container } = c.req.valid('query')
    const wish = {
      follow: follow ?? false,
      ...(tail_lines === undefined ? {} : { tail_lines }),
      ...(container ? { container } : {}),
    }
    const answer = await readLogs(c.var.ctx, c.req.valid('param').id, wish, c.req.raw.signal)
    return upgraded(
      fromSession(answer, {
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      }),
    )
  })
  router.openapi(metrics, async c => {
    const answer = await askHost(
      c.var.ctx,
      c.req.valid('param').id,
      { request: { method: 'GET', path: '/metrics', headers: {} } },
      c.req.raw.signal,
    )
    const facts = { id: c.req.valid('param').id, object: 'session_metrics' as const, created_at: new Date().toISOString() }
    return c.json({ ...((await answer.json()) as object), ...facts }, 200)
  })

  const files = {
    get: ['readFile', 'Read a file, or list a folder'],
    put: ['writeFile', 'Write a file; folders are made'],
    delete: ['deleteFile', 'Delete a file or folder'],
  } as const
  router.openapi(home, async c => upgraded(await file(c.var.ctx, c.req.raw, c.req.valid('param').id, 'get')))
  for (const method of ['get', 'put', 'delete'] as const) {
    declareRoute(router, fileRoute(method, files[method][0], files[method][1]), '/v1/sessions/:id/files/:path{.*}', c =>
      file(c.var.ctx, c.req.raw, c.req.param('id')!, method),
    )
  }
  app.route('/', router)
}

async function file(ctx: Ctx, request: Request, session: string, method: 'get' | 'put' | 'delete'): Promise<Response> {
  const pathname = new URL(request.url).pathname
  const rest = pathname.slice(pathname.indexOf('/files') + '/files'.length).replace(/^\//, '')
  const declared = Number(request.headers.get('content-length') ?? 0)
  if (declared > ctx.config.maxUpload) throw new Problem('too_large', `At most ${ctx.config.maxUpload} bytes.`)
  const length = request.headers.get('content-length')
  const answer = await askHost(
    ctx,
    session,
    {
      request: {
        method: method.toUpperCase() as 'GET' | 'PUT' | 'DELETE',
        path: `/files/${rest}`,
        headers: method === 'put' && length !== null ? { 'content-length': length } : {},
      },
      body: method === 'put' ? request.body : null,
      audited: method !== 'get',
    },
    request.signal,
  )
  if (method !== 'get') return new Response(null, { status: 204 })
  if (answer.headers.get('content-type') === 'application/json') return folderList(answer)
  // Never a page of this origin: what a session wrote is downloaded, not shown.
  return fromSession(answer, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment' })
}

/** Files are never JSON to us, so this is a folder. */
async function folderList(answer: Response): Promise<Response> {
  const told = ToldEntries.safeParse(await answer.json().catch(() => null))
  if (!told.success) throw new Problem('target_refused', 'The session told nothing that is a list of files.')
  const data = told.data.entries.map(entry => ({ object: 'file' as const, ...entry }))
  return Response.json({ object: 'list', data, has_more: false, next_cursor: null }, { headers: { 'cache-control': 'no-store' } })
}
