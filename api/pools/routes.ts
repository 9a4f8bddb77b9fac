import { z } from '@hono/zod-openapi'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { Pool, PoolCreate, PoolFilters, PoolPage, PoolPatch } from './schema.ts'
import { createPool, deletePool, getPool, listPools, patchPool } from './service.ts'

const tags = ['Pools']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'clusters:admin',
  operationId: 'createPool',
  method: 'post',
  path: '/v1/pools',
  tags,
  summary: 'Keep sessions of a template warm: a create that fits one is answered `running` at once',
  request: { body: jsonBody(PoolCreate) },
  responses: { 201: json(Pool, 'Made; its sessions start by and by'), ...problemAnswers('conflict') },
})

const list = route({
  access: 'clusters:read',
  operationId: 'listPools',
  method: 'get',
  path: '/v1/pools',
  tags,
  summary: 'Pools of the clusters you can use',
  request: { query: PoolFilters },
  responses: { 200: json(PoolPage, 'Pools, newest first') },
})

const get = route({
  access: 'clusters:read',
  operationId: 'getPool',
  method: 'get',
  path: '/v1/pools/{id}',
  tags,
  summary: 'One pool',
  request: { params },
  responses: { 200: json(Pool, 'The pool'), ...problemAnswers('not_found') },
})

const patch = route({
  access: 'clusters:admin',
  operationId: 'updatePool',
  method: 'patch',
  path: '/v1/pools/{id}',
  tags,
  summary: 'Change its sizes and times',
  request: { params, body: jsonBody(PoolPatch) },
  responses: { 200: json(Pool, 'The pool'), ...problemAnswers('not_found') },
})

const remove = route({
  access: 'clusters:admin',
  operationId: 'deletePool',
  method: 'delete',
  path: '/v1/pools/{id}',
  tags,
  summary: 'End what it keeps warm; sessions taken from it live on',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

export const mountPools: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => c.json(await createPool(c.var.ctx, c.req.valid('json')), 201))
  router.openapi(list, async c => c.json(await listPools(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(get, async c => c.json(await getPool(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(patch, async c => c.json(await patchPool(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 200))
  router.openapi(remove, async c => {
    await deletePool(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  app.route('/', router)
}
