import { z } from '@hono/zod-openapi'
import { PageQuery, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { declareRoute, json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { bodyUpTo } from './body.ts'
import { HookAnswer, Webhook, WebhookCreate, WebhookPatch, WebhookWithSecret } from './schema.ts'
import { createWebhook, deleteWebhook, listWebhooks, patchWebhook, receive } from './service.ts'

const tags = ['Webhooks']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'jobs:write',
  operationId: 'createWebhook',
  secretAnswer: true,
  method: 'post',
  path: '/v1/webhooks',
  tags,
  summary: 'Build (and deploy) when a git server says that something was pushed',
  request: { body: jsonBody(WebhookCreate) },
  responses: { 201: json(WebhookWithSecret, 'The hook; its secret is shown once'), ...problemAnswers('unavailable') },
})

const list = route({
  access: 'jobs:read',
  operationId: 'listWebhooks',
  method: 'get',
  path: '/v1/webhooks',
  tags,
  summary: 'Hooks of the project',
  request: { query: PageQuery },
  responses: { 200: json(pageOf(Webhook, 'WebhookList'), 'Hooks, newest first') },
})

const patch = route({
  access: 'jobs:write',
  operationId: 'updateWebhook',
  method: 'patch',
  path: '/v1/webhooks/{id}',
  tags,
  summary: 'Switch a hook off or on, or change its name and branches',
  request: { params, body: jsonBody(WebhookPatch) },
  responses: { 200: json(Webhook, 'The hook'), ...problemAnswers('not_found') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteWebhook',
  method: 'delete',
  path: '/v1/webhooks/{id}',
  tags,
  summary: 'Remove a hook: what comes for it is refused',
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const hook = {
  access: 'public',
  operationId: 'receiveHook',
  method: 'post',
  path: '/v1/hooks/{id}',
  tags,
  summary: 'For git servers: a push of GitHub (signed) or GitLab (with its token)',
  description:
    'Proof is `X-Hub-Signature-256` (GitHub) or `X-Gitlab-Token`; `X-GitHub-Delivery` or `X-Gitlab-Webhook-UUID` tells repetitions.',
  request: { params, body: jsonBody(z.record(z.string(), z.unknown())) },
  responses: {
    200: json(HookAnswer, 'Taken'),
    ...problemAnswers('unauthorized', 'forbidden', 'conflict', 'quota_exceeded'),
  },
} as const

export const mountWebhooks: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await createWebhook(c.var.ctx, c.req.valid('json')), 201)
  })
  router.openapi(list, async c => c.json(await listWebhooks(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(patch, async c => c.json(await patchWebhook(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 200))
  router.openapi(remove, async c => {
    await deleteWebhook(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  // The signature is over the bytes as they came, so nobody parses them before.
  declareRoute(router, hook, '/v1/hooks/:id', async c => {
    const body = await bodyUpTo(c.req.raw, c.var.ctx.config.maxJsonBody)
    return c.json(await receive(c.var.ctx, c.req.param('id')!.slice(0, 64), c.req.raw.headers, body), 200)
  })
  app.route('/', router)
}
