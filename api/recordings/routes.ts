/** Recordings of a session's screen: kept by its agent, also when the session is over, until the session is deleted. */
import { z } from '@hono/zod-openapi'
import type { Ctx } from '../context.ts'
import type { Mount } from '../resources.ts'
import { json, newRouter, problemAnswers, route } from '../route.ts'
import { askHost, fromSession } from '../streams/host-exchange.ts'

const tags = ['Recordings']
const params = z.object({ id: z.string().max(64) })
const reaching = problemAnswers('not_found', 'session_not_running', 'target_refused', 'cluster_offline', 'target_timeout')

/** What the agent says of one. */
const Told = z.object({ id: z.string().max(40), generation: z.int(), started_at: z.iso.datetime(), bytes: z.int() })

export const Recording = z
  .object({
    id: z.string(),
    object: z.literal('recording'),
    session: z.string(),
    generation: z.int().openapi({ description: 'Which life of the session it shows.' }),
    created_at: z.iso.datetime(),
    size: z.int().openapi({ description: 'Bytes; grows while the session runs.' }),
  })
  .openapi('Recording')

const list = route({
  access: 'sessions:read',
  operationId: 'listRecordings',
  method: 'get',
  path: '/v1/sessions/{id}/recordings',
  tags,
  summary: 'What was recorded of a session that was made with `recording`',
  request: { params },
  responses: {
    200: json(
      z.object({
        object: z.literal('list'),
        data: z.array(Recording),
        has_more: z.literal(false),
        next_cursor: z.null(),
      }),
      'Recordings, newest first',
    ),
    ...reaching,
  },
})

const download = route({
  access: 'sessions:read',
  operationId: 'downloadRecording',
  method: 'get',
  path: '/v1/sessions/{id}/recordings/{recording}',
  tags,
  summary: 'One recording, as FBS 001.001 (RFB with times)',
  request: { params: params.extend({ recording: z.string().regex(/^g\d{1,9}-\d{1,9}$/) }) },
  responses: {
    200: {
      description: 'What there is of it now',
      content: { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } },
    },
    ...reaching,
  },
})

export const mountRecordings: Mount = app => {
  const router = newRouter()
  router.openapi(list, async c => {
    const { id } = c.req.valid('param')
    const answer = await ask(c.var.ctx, id, '/recordings', false, c.req.raw.signal)
    const told = z.object({ data: z.array(Told).max(10_000) }).parse(await answer.json())
    const data = told.data
      .map(each => ({
        id: each.id,
        object: 'recording' as const,
        session: id,
        generation: each.generation,
        created_at: each.started_at,
        size: each.bytes,
      }))
      .reverse()
    return c.json({ object: 'list' as const, data, has_more: false as const, next_cursor: null }, 200)
  })
  router.openapi(download, async c => {
    const { id, recording } = c.req.valid('param')
    const answer = await ask(c.var.ctx, id, `/recordings/${recording}`, true, c.req.raw.signal)
    return fromSession(answer, {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${id}-${recording}.fbs"`,
      'cache-control': 'no-store',
    }) as never
  })
  app.route('/', router)
}

function ask(ctx: Ctx, session: string, path: string, audited: boolean, signal: AbortSignal): Promise<Response> {
  return askHost(ctx, session, { request: { method: 'GET', path, headers: {} }, alsoEnded: true, audited }, signal)
}
