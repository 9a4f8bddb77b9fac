import { z } from '@hono/zod-openapi'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { volumeArchive } from './archive.ts'
import { Volume, VolumeCreate, VolumeFilters, VolumePage } from './schema.ts'
import { createVolume, deleteVolume, getVolume, listVolumes } from './service.ts'

const tags = ['Volumes']
const params = z.object({ id: z.string().max(64) })
const gzip = { 'application/gzip': { schema: { type: 'string', format: 'binary' } } } as const
const reaching = problemAnswers('not_found', 'conflict', 'target_refused', 'cluster_offline', 'target_timeout')

const create = route({
  access: 'sessions:write',
  operationId: 'createVolume',
  method: 'post',
  path: '/v1/volumes',
  tags,
  summary: 'Make a volume, or get the one of this name',
  request: { body: jsonBody(VolumeCreate) },
  responses: { 201: json(Volume, 'Made'), 200: json(Volume, 'There was one of this name'), ...problemAnswers('quota_exceeded') },
})

const list = route({
  access: 'sessions:read',
  operationId: 'listVolumes',
  method: 'get',
  path: '/v1/volumes',
  tags,
  summary: 'Volumes of the project',
  request: { query: VolumeFilters },
  responses: { 200: json(VolumePage, 'Volumes, newest first') },
})

const get = route({
  access: 'sessions:read',
  operationId: 'getVolume',
  method: 'get',
  path: '/v1/volumes/{id}',
  tags,
  summary: 'One volume',
  request: { params },
  responses: { 200: json(Volume, 'The volume'), ...problemAnswers('not_found') },
})

const remove = route({
  access: 'sessions:write',
  operationId: 'deleteVolume',
  method: 'delete',
  path: '/v1/volumes/{id}',
  tags,
  summary: 'Remove it and its files for good',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found', 'conflict') },
})

const download = route({
  access: 'sessions:read',
  operationId: 'downloadVolume',
  method: 'get',
  path: '/v1/volumes/{id}/archive',
  tags,
  summary: 'Its files as tar.gz',
  request: { params },
  responses: { 200: { description: 'tar.gz, streamed', content: gzip }, ...reaching },
})

const upload = route({
  access: 'sessions:write',
  operationId: 'uploadVolume',
  method: 'put',
  path: '/v1/volumes/{id}/archive',
  tags,
  summary: 'Replace its files by those of a tar.gz',
  request: { params, body: { content: gzip } },
  responses: { 204: { description: 'Restored' }, ...reaching, ...problemAnswers('too_large', 'bad_request') },
})

export const mountVolumes: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    const { volume, created } = await createVolume(c.var.ctx, c.req.valid('json'))
    return created ? c.json(volume, 201) : c.json(volume, 200)
  })
  router.openapi(list, async c => c.json(await listVolumes(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(get, async c => c.json(await getVolume(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(remove, async c => {
    await deleteVolume(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(download, async c => {
    const { id } = c.req.valid('param')
    const answer = await volumeArchive(c.var.ctx, id, 'GET', c.req.raw)
    const headers = {
      'content-type': 'application/gzip',
      'content-disposition': `attachment; filename="${id}.tar.gz"`,
      'x-content-type-options': 'nosniff',
    }
    return new Response(answer.body, { headers }) as never
  })
  router.openapi(upload, async c => {
    await volumeArchive(c.var.ctx, c.req.valid('param').id, 'PUT', c.req.raw)
    return c.body(null, 204)
  })
  app.route('/', router)
}
