import { z } from '@hono/zod-openapi'
import { answerAfterCommit } from '../idempotency/middleware.ts'
import { PageQuery, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { preferredWait } from '../sessions/wait.ts'
import { cancelJob, deleteJob, retryJob } from './change.ts'
import { createJob } from './create.ts'
import { getJob, listJobs } from './read.ts'
import { Job, JobCreate, JobFilters, JobRetry, JobWithAttempts } from './schema.ts'
import { waitUntilOver } from './wait.ts'

const tags = ['Jobs']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'jobs:write',
  operationId: 'createJob',
  method: 'post',
  path: '/v1/jobs',
  tags,
  summary: 'Queue work with an end',
  request: {
    headers: z.object({
      prefer: z
        .string()
        .max(200)
        .optional()
        .openapi({ description: '`wait=N` (0..60): answer when it is over, at the latest after N seconds.' }),
    }),
    body: jsonBody(JobCreate),
  },
  responses: {
    201: json(Job, 'Queued'),
    ...problemAnswers('conflict', 'quota_exceeded', 'rate_limited', 'too_large', 'unsupported_media_type'),
  },
})

const list = route({
  access: 'jobs:read',
  operationId: 'listJobs',
  method: 'get',
  path: '/v1/jobs',
  tags,
  summary: 'Jobs, newest first',
  request: { query: PageQuery.extend(JobFilters.shape) },
  responses: { 200: json(pageOf(Job, 'JobList'), 'A page of jobs') },
})

const get = route({
  access: 'jobs:read',
  operationId: 'getJob',
  method: 'get',
  path: '/v1/jobs/{id}',
  tags,
  summary: 'One job, with its earlier attempts',
  request: { params },
  responses: { 200: json(JobWithAttempts, 'The job'), ...problemAnswers('not_found') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteJob',
  method: 'delete',
  path: '/v1/jobs/{id}',
  tags,
  summary: 'End it if it runs, undo what it made if it can be undone, and forget it and its log',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const cancel = route({
  access: 'jobs:write',
  operationId: 'cancelJob',
  method: 'post',
  path: '/v1/jobs/{id}/cancel',
  // Ending is never refused by a limit.
  limit: 'none',
  tags,
  summary: 'End it: politely, and after its grace for certain',
  request: { params },
  responses: {
    200: json(JobWithAttempts, 'The job; `canceling` until it has ended'),
    ...problemAnswers('not_found', 'conflict'),
  },
})

const retry = route({
  access: 'jobs:write',
  operationId: 'retryJob',
  method: 'post',
  path: '/v1/jobs/{id}/retry',
  tags,
  summary: 'Queue a new attempt of a job that is over',
  request: { params, body: { content: { 'application/json': { schema: JobRetry } } } },
  responses: { 200: json(JobWithAttempts, 'The job'), ...problemAnswers('not_found', 'conflict') },
})

export const mountJobs: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    const wait = preferredWait(c.req.valid('header').prefer)
    const job = await createJob(c.var.ctx, c.req.valid('json'))
    c.header('location', `/v1/jobs/${job.id}`)
    if (wait === 0) return c.json(job, 201)
    return answerAfterCommit(c, c.json(job, 201), async () => {
      c.header('preference-applied', `wait=${wait}`)
      return c.json(await waitUntilOver(c.var.ctx, job.id, wait, c.req.raw.signal), 201)
    })
  })
  router.openapi(list, async c => c.json(await listJobs(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(get, async c => c.json(await getJob(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(remove, async c => {
    await deleteJob(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(cancel, async c => c.json(await cancelJob(c.var.ctx, c.req.valid('param').id), 200))
  router.openapi(retry, async c =>
    c.json(await retryJob(c.var.ctx, c.req.valid('param').id, { force: c.req.valid('json')?.force === true }), 200),
  )
  app.route('/', router)
}
