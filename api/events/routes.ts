/** `GET /v1/events` (SSE, resumes with `Last-Event-ID`) and a session's own events (a list, or SSE with `follow`). */
import { z } from '@hono/zod-openapi'
import type { Authenticator } from '../auth.ts'
import { type Ctx, holds, projectWall } from '../context.ts'
import { PageQuery, pageOf } from '../paging.ts'
import { invalid, Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { newRouter, problemAnswers, route } from '../route.ts'
import { findSession } from '../sessions/read.ts'
import { type Audience, type EventRow, eventsBefore, newestPlace, type Place, placeOf } from './read.ts'
import { eventStream } from './stream.ts'

const Event = z
  .object({ id: z.string(), object: z.literal('event'), type: z.string(), created_at: z.string() })
  .catchall(z.unknown())
  .openapi('Event', { description: 'Beside these, the object it tells of under its own name (`session`, `cluster`, …).' })

const sse = { description: 'text/event-stream', content: { 'text/event-stream': { schema: { type: 'string' } } } } as const
const headers = z.object({ 'last-event-id': z.string().max(64).optional() })
const flag = z.enum(['true', 'false', '1', '0', '']).transform(word => word !== 'false' && word !== '0')

const all = route({
  access: 'token',
  operationId: 'followEvents',
  method: 'get',
  path: '/v1/events',
  tags: ['Events'],
  summary: 'What happens, as server-sent events',
  request: { headers, query: z.object({ last_event_id: z.string().max(64).optional() }) },
  responses: { 200: sse },
})

const ofSession = route({
  access: 'sessions:read',
  operationId: 'sessionEvents',
  method: 'get',
  path: '/v1/sessions/{id}/events',
  tags: ['Events'],
  summary: 'What happened to a session; with `follow`, from the first event on, and what comes, as server-sent events',
  request: {
    headers,
    params: z.object({ id: z.string().max(64) }),
    query: PageQuery.extend({ limit: PageQuery.shape.limit.default(100), follow: flag.optional() }),
  },
  responses: {
    200: {
      description: 'Events, newest first; with `follow` in their order',
      content: { 'application/json': { schema: pageOf(Event, 'EventList') }, ...sse.content },
    },
    ...problemAnswers('not_found'),
  },
})

export function eventView(row: EventRow) {
  return { id: row.id, object: 'event' as const, type: row.type, created_at: row.created_at.toISOString(), ...row.data }
}

export const mountEvents: Mount = (app, { auth }) => {
  const router = newRouter()
  router.openapi(all, async c => {
    const { ctx } = c.var
    const audience = audienceOf(ctx)
    const last = c.req.valid('header')['last-event-id'] ?? c.req.valid('query').last_event_id
    const known = last ? await placeOf(ctx.db, last) : null
    const from = known ?? (await newestPlace(ctx.db))
    return answer(
      eventStream({
        ctx,
        audience,
        from,
        lost: last !== undefined && known === null,
        alive: aliveCheck(ctx, auth, c.req.raw),
        signal: c.req.raw.signal,
      }),
    )
  })
  router.openapi(ofSession, async c => {
    const { ctx } = c.var
    const { id } = c.req.valid('param')
    await findSession(ctx, id)
    const audience: Audience = { project: null, shared: false, families: ['session', 'stream'], session: id }
    const start: Place = { tx: '0', seq: 0 }
    if (c.req.valid('query').follow) {
      const last = c.req.valid('header')['last-event-id']
      const from = (last ? await placeOf(ctx.db, last) : null) ?? start
      return answer(
        eventStream({ ctx, audience, from, lost: false, alive: aliveCheck(ctx, auth, c.req.raw), signal: c.req.raw.signal }),
      )
    }
    const { limit, cursor } = c.req.valid('query')
    const rows = await eventsBefore(ctx.db, cursor === undefined ? null : placeAt(cursor), audience, limit + 1)
    const shown = rows.slice(0, limit)
    const last = rows.length > limit ? shown.at(-1)! : null
    const next_cursor = last && `${last.tx}.${last.seq}`
    return c.json({ object: 'list' as const, data: shown.map(eventView), has_more: last !== null, next_cursor }, 200) as never
  })
  app.route('/', router)
}

function placeAt(cursor: string): Place {
  const match = /^(\d{1,18})\.(\d{1,15})$/.exec(cursor)
  if (!match) throw invalid('?cursor', 'This cursor is not one that a list gave.')
  return { tx: match[1]!, seq: Number(match[2]) }
}

function audienceOf(ctx: Ctx): Audience {
  const families = [
    ...(holds(ctx.actor, 'sessions:read') ? ['session', 'stream', 'volume', 'pool', 'template'] : []),
    ...(holds(ctx.actor, 'clusters:read') ? ['cluster'] : []),
    ...(holds(ctx.actor, 'jobs:read') ? ['job'] : []),
    ...(holds(ctx.actor, 'exec') ? ['terminal'] : []),
    ...(holds(ctx.actor, 'tokens') ? ['token'] : []),
    ...(holds(ctx.actor, 'admin') ? ['project'] : []),
  ]
  if (families.length === 0)
    throw new Problem('forbidden', 'Events need one of the scopes sessions:read, jobs:read, clusters:read, exec and tokens.')
  return { project: projectWall(ctx), shared: holds(ctx.actor, 'clusters:read'), families }
}

/** Whether the token that opened the stream may still read: asked every few seconds, so that a revocation ends it. */
export function aliveCheck(ctx: Ctx, auth: Authenticator, request: Request): () => Promise<boolean> {
  return () =>
    auth.actor(request, ctx).then(
      actor => actor !== null,
      error => !(error instanceof Problem && error.code === 'unauthorized'),
    )
}

function answer(body: ReadableStream<Uint8Array>): never {
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' },
  }) as never
}
