import { z } from '@hono/zod-openapi'
import { PageQuery } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { Secret, SecretCreate, SecretList } from './schema.ts'
import { deleteSecret, listSecrets, putSecret } from './service.ts'

const tags = ['Secrets']

const put = route({
  access: 'jobs:write',
  operationId: 'putSecret',
  method: 'post',
  path: '/v1/secrets',
  tags,
  summary: 'Keep a value that jobs get by name, or replace it; it is never answered',
  request: { body: jsonBody(SecretCreate) },
  responses: { 201: json(Secret, 'Kept'), 200: json(Secret, 'Replaced'), ...problemAnswers('quota_exceeded', 'unavailable') },
})

const list = route({
  access: 'jobs:read',
  operationId: 'listSecrets',
  method: 'get',
  path: '/v1/secrets',
  tags,
  summary: 'Names of the project’s secrets',
  request: { query: PageQuery },
  responses: { 200: json(SecretList, 'Names, newest first, without values') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteSecret',
  method: 'delete',
  path: '/v1/secrets/{id}',
  tags,
  summary: 'Forget a secret; jobs that have it keep it',
  request: { params: z.object({ id: z.string().max(64).openapi({ description: 'Id or name.' }) }) },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

export const mountSecrets: Mount = app => {
  const router = newRouter()
  router.openapi(put, async c => {
    const { secret, created } = await putSecret(c.var.ctx, c.req.valid('json'))
    return created ? c.json(secret, 201) : c.json(secret, 200)
  })
  router.openapi(list, async c => c.json(await listSecrets(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(remove, async c => {
    await deleteSecret(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  app.route('/', router)
}
