import { z } from '@hono/zod-openapi'
import { answerAfterCommit } from '../idempotency/middleware.ts'
import { PageQuery, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { deleteSession, patchSession, restartSession, startSession, stopSession, touchSession } from './change.ts'
import { createSession } from './create.ts'
import { resizeDisplay } from './display.ts'
import { getSession, listSessions } from './read.ts'
import { Session, SessionCreate, SessionFilters, SessionPatch, SessionTouch } from './schema.ts'
import { preferredWait, waitUntilSettled } from './wait.ts'

const tags = ['Sessions']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'sessions:write',
  beginsEarly: true,
  operationId: 'createSession',
  method: 'post',
  path: '/v1/sessions',
  tags,
  summary: 'Start a session, or get the living one of the same name',
  request: {
    headers: z.object({
      prefer: z
        .string()
        .max(200)
        .optional()
        .openapi({ description: '`wait=N` (0..60): answer when it runs or has ended, at the latest after N seconds.' }),
    }),
    body: jsonBody(SessionCreate),
  },
  responses: {
    201: json(Session, 'Created'),
    200: json(Session, 'A session of this name lives already'),
    ...problemAnswers('conflict', 'quota_exceeded', 'rate_limited', 'too_large', 'unsupported_media_type'),
  },
})

const list = route({
  access: 'sessions:read',
  operationId: 'listSessions',
  method: 'get',
  path: '/v1/sessions',
  tags,
  summary: 'Sessions, newest first',
  request: { query: PageQuery.extend(SessionFilters.shape) },
  responses: { 200: json(pageOf(Session, 'SessionList'), 'A page of sessions') },
})

const get = route({
  access: 'sessions:read',
  operationId: 'getSession',
  method: 'get',
  path: '/v1/sessions/{id}',
  tags,
  summary: 'One session',
  request: { params },
  responses: { 200: json(Session, 'The session'), ...problemAnswers('not_found') },
})

const patch = route({
  access: 'sessions:write',
  operationId: 'updateSession',
  method: 'patch',
  path: '/v1/sessions/{id}',
  tags,
  summary: 'Change name, labels, display or deadlines',
  request: { params, body: jsonBody(SessionPatch) },
  responses: { 200: json(Session, 'The session'), ...problemAnswers('not_found', 'conflict') },
})

const remove = route({
  access: 'sessions:write',
  operationId: 'deleteSession',
  method: 'delete',
  path: '/v1/sessions/{id}',
  tags,
  summary: 'End it and forget it, from whatever state; its volume stays',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const touch = route({
  access: 'sessions:write',
  operationId: 'touchSession',
  method: 'post',
  path: '/v1/sessions/{id}/touch',
  tags,
  summary: 'Count as activity and move the deadlines',
  request: { params, body: { content: { 'application/json': { schema: SessionTouch } } } },
  responses: { 200: json(Session, 'The session'), ...problemAnswers('not_found', 'conflict') },
})

const action = <const A extends 'stop' | 'start' | 'restart'>(name: A, summary: string) =>
  route({
    access: 'sessions:write',
    operationId: `${name}Session`,
    method: 'post',
    path: `/v1/sessions/{id}/${name}`,
    // Ending is never refused by a limit.
    limit: name === 'stop' ? 'none' : 'project',
    tags,
    summary,
    request: { params },
    responses: { 200: json(Session, 'The session'), ...problemAnswers('not_found', 'conflict', 'quota_exceeded') },
  })

export const mountSessions: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    const { ctx } = c.var
    const wait = preferredWait(c.req.valid('header').prefer)
    const { session, created } = await createSession(ctx, c.req.valid('json'))
    c.header('location', `/v1/sessions/${session.id}`)
    const answer = (now: Session) => (created ? c.json(now, 201) : c.json(now, 200))
    if (wait === 0) return answer(session)
    return answerAfterCommit(c, answer(session), async () => {
      c.header('preference-applied', `wait=${wait}`)
      return answer(await waitUntilSettled(c.var.ctx, session, wait, c.req.raw.signal))
    })
  })
  router.openapi(list, async c => c.json(await listSessions(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(get, async c => c.json(await getSession(c.get('ctx'), c.req.valid('param').id), 200))
  router.openapi(patch, async c => {
    const { id } = c.req.valid('param')
    const { display, ...rest } = c.req.valid('json')
    const shown = display && (await resizeDisplay(c.var.ctx, id, display, c.req.raw.signal))
    return c.json(await patchSession(c.var.ctx, id, rest, shown), 200)
  })
  router.openapi(remove, async c => {
    await deleteSession(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(touch, async c => c.json(await touchSession(c.var.ctx, c.req.valid('param').id, c.req.valid('json') ?? {}), 200))
  router.openapi(action('stop', 'End its programs, keep its files'), async c =>
    c.json(await stopSession(c.var.ctx, c.req.valid('param').id), 200),
  )
  router.openapi(action('start', 'Start a stopped session again, with its files'), async c =>
    c.json(await startSession(c.var.ctx, c.req.valid('param').id), 200),
  )
  router.openapi(action('restart', 'Fresh programs under the same id, with its files'), async c =>
    c.json(await restartSession(c.var.ctx, c.req.valid('param').id), 200),
  )
  app.route('/', router)
}
