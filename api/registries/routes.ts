import { z } from '@hono/zod-openapi'
import { answerAfterCommit } from '../idempotency/middleware.ts'
import { PageQuery, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { preferredWait } from '../sessions/wait.ts'
import { Registry, RegistryCreate, RegistryTest } from './schema.ts'
import { beginTest, deleteRegistry, listRegistries, putRegistry, testResult } from './service.ts'

const tags = ['Registries']
const params = z.object({ id: z.string().max(64) })
const testSeconds = 30

const put = route({
  access: 'jobs:write',
  operationId: 'putRegistry',
  method: 'post',
  path: '/v1/registries',
  tags,
  summary: 'Keep the login of an image registry for builds, or replace it',
  request: { body: jsonBody(RegistryCreate) },
  responses: { 201: json(Registry, 'Kept'), 200: json(Registry, 'Replaced'), ...problemAnswers('unavailable') },
})

const list = route({
  access: 'jobs:read',
  operationId: 'listRegistries',
  method: 'get',
  path: '/v1/registries',
  tags,
  summary: 'Registries of the project',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(Registry, 'RegistryList'), 'Registries, newest first, without passwords') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteRegistry',
  method: 'delete',
  path: '/v1/registries/{id}',
  tags,
  summary: 'Forget the login of a registry',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const test = route({
  access: 'jobs:write',
  operationId: 'testRegistry',
  method: 'post',
  path: '/v1/registries/{id}/test',
  tags,
  summary: 'Try the login from a cluster that builds; waits half a minute at most',
  request: {
    params,
    headers: z.object({ prefer: z.string().max(200).optional().openapi({ description: '`wait=N` (0..60): instead of 30 s.' }) }),
  },
  responses: { 200: json(RegistryTest, 'What came of it'), ...problemAnswers('not_found', 'conflict', 'quota_exceeded') },
})

export const mountRegistries: Mount = app => {
  const router = newRouter()
  router.openapi(put, async c => {
    const { registry, created } = await putRegistry(c.var.ctx, c.req.valid('json'))
    return created ? c.json(registry, 201) : c.json(registry, 200)
  })
  router.openapi(list, async c => c.json(await listRegistries(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(remove, async c => {
    await deleteRegistry(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(test, async c => {
    const job = await beginTest(c.var.ctx, c.req.valid('param').id)
    const { prefer } = c.req.valid('header')
    const seconds = prefer === undefined ? testSeconds : preferredWait(prefer)
    const waiting = { object: 'registry_test' as const, ok: null, detail: 'The job is queued.', job }
    return answerAfterCommit(c, c.json(waiting, 200), async () =>
      c.json(await testResult(c.var.ctx, job, seconds, c.req.raw.signal), 200),
    )
  })
  app.route('/', router)
}
