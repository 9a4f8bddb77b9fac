import { z } from '@hono/zod-openapi'
import { eq } from 'drizzle-orm'
import { jobs } from '#db/schema.ts'
import { verifyAgent } from '../agents/identity.ts'
import { checkFence } from '../jobs/logs/take.ts'
import { PageQuery } from '../paging.ts'
import { notFound } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { json, newRouter, problemAnswers, route } from '../route.ts'
import { Upload, UploadName, UploadPage } from './schema.ts'
import { deleteUpload, getUpload, listUploads, receiveUpload, uploadBytes } from './service.ts'

const tags = ['Uploads']
const gzip = { 'application/gzip': { schema: { type: 'string', format: 'binary' } } } as const
const params = z.object({ id: z.string().max(64).openapi({ description: 'Id or name.' }) })

const put = route({
  access: 'jobs:write',
  operationId: 'putUpload',
  limit: 'project',
  method: 'put',
  path: '/v1/uploads/{id}',
  tags,
  summary: 'Send a tar.gz to build from, by a name of your own; another of this name is replaced',
  request: { params: z.object({ id: UploadName }), body: { required: true, content: gzip } },
  responses: {
    201: json(Upload, 'Kept'),
    200: json(Upload, 'Kept in place of another'),
    ...problemAnswers('quota_exceeded', 'too_large', 'unsupported_media_type', 'conflict', 'rate_limited'),
  },
})

const list = route({
  access: 'jobs:read',
  operationId: 'listUploads',
  method: 'get',
  path: '/v1/uploads',
  tags,
  summary: 'What was sent to be built',
  request: { query: PageQuery },
  responses: { 200: json(UploadPage, 'Uploads, newest first') },
})

const get = route({
  access: 'jobs:read',
  operationId: 'getUpload',
  method: 'get',
  path: '/v1/uploads/{id}',
  tags,
  summary: 'One upload',
  request: { params },
  responses: { 200: json(Upload, 'The upload'), ...problemAnswers('not_found') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteUpload',
  method: 'delete',
  path: '/v1/uploads/{id}',
  tags,
  summary: 'Forget an upload; jobs that are not over keep it until they are',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const give = route({
  access: 'agent',
  operationId: 'giveJobContext',
  method: 'get',
  path: '/v1/agent/jobs/{id}/context',
  tags: ['Agents'],
  summary: 'What a build is made from, for the agent that has it',
  request: {
    params: z.object({ id: z.string().max(64) }),
    query: z.object({ attempt: z.coerce.number().int().min(1), epoch: z.coerce.number().int().min(0) }),
  },
  responses: {
    200: { description: 'The tar.gz', content: gzip },
    ...problemAnswers('unauthorized', 'not_found', 'conflict'),
  },
})

export const mountUploads: Mount = app => {
  const router = newRouter()
  router.openapi(put, async c => {
    const { upload, replaced } = await receiveUpload(c.var.ctx, c.req.valid('param').id, c.req.raw)
    return replaced ? c.json(upload, 200) : c.json(upload, 201)
  })
  router.openapi(list, async c => c.json(await listUploads(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(get, async c => c.json(await getUpload(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(remove, async c => {
    await deleteUpload(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(give, async c => {
    const { db } = c.var.ctx
    const agent = await verifyAgent(db, c.req.raw.headers)
    const { id } = c.req.valid('param')
    await checkFence(db, agent.cluster, id, c.req.valid('query'))
    const [job] = await db.select({ upload: jobs.upload_id }).from(jobs).where(eq(jobs.id, id))
    if (!job?.upload) throw notFound('upload')
    return new Response(streamOf(uploadBytes(db, job.upload)), {
      headers: { 'content-type': 'application/gzip', 'cache-control': 'no-store' },
    }) as never
  })
  app.route('/', router)
}

function streamOf(pieces: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await pieces.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: async () => void (await pieces.return(undefined)),
    },
    { highWaterMark: 0 },
  )
}
