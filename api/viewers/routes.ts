import { z } from '@hono/zod-openapi'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { ControlChange, ViewerList } from './schema.ts'
import { listViewers, setControl } from './service.ts'

const tags = ['Viewers']
const params = z.object({ id: z.string().max(64) })

const list = route({
  access: 'sessions:read',
  operationId: 'listViewers',
  method: 'get',
  path: '/v1/sessions/{id}/viewers',
  tags,
  summary: 'Who has the screen open, and which of them may type',
  request: { params },
  responses: { 200: json(ViewerList, 'Open screens, newest first'), ...problemAnswers('not_found') },
})

const control = route({
  access: 'sessions:connect',
  operationId: 'setControl',
  method: 'put',
  path: '/v1/sessions/{id}/control',
  tags,
  summary: 'Let everybody type, or one viewer, or take control back',
  description: 'Open screens change at once, without reconnecting. For the session’s own user and admins.',
  request: { params, body: jsonBody(ControlChange) },
  responses: { 200: json(ViewerList, 'As it is now'), ...problemAnswers('not_found', 'conflict') },
})

export const mountViewers: Mount = app => {
  const router = newRouter()
  router.openapi(list, async c => c.json(await listViewers(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(control, async c => c.json(await setControl(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 200))
  app.route('/', router)
}
