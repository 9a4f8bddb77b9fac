import { z } from '@hono/zod-openapi'
import { pageOf } from '../paging.ts'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { HookAnswer, Webhook, WebhookCreate, WebhookWithSecret } from './schema.ts'
import { createWebhook, deleteWebhook, listWebhooks, receive } from './service.ts'

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
  responses: { 200: json(pageOf(Webhook, 'WebhookList'), 'Hooks, newest first') },
})

const remove = route({
  access: 'jobs:write',
  operationId: 'deleteWebhook',
  method: 'delete',
  path: '/v1/webhooks/{id}',
  tags,
  request: { params },
  responses: { 204: { description: 'Gone' }, ...problemAnswers('not_found') },
})

const hook = route({
  access: 'public',
  operationId: 'receiveHook',
  method: 'post',
  path: '/v1/hooks/{id}',
  tags,
  summary: 'For git servers: a push of GitHub (signed) or GitLab (with its token)',
  request: { params },
  responses: {
    200: json(HookAnswer, 'Taken'),
    ...problemAnswers('bad_request', 'unauthorized', 'forbidden', 'too_large', 'conflict', 'quota_exceeded'),
  },
})

export const mountWebhooks: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await createWebhook(c.var.ctx, c.req.valid('json')), 201)
  })
  router.openapi(list, async c =>
    c.json({ object: 'list' as const, data: await listWebhooks(c.var.ctx), has_more: false, next_cursor: null }, 200),
  )
  router.openapi(remove, async c => {
    await deleteWebhook(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(hook, async c => {
    const body = await bodyUpTo(c.req.raw, c.var.ctx.config.maxJsonBody)
    return c.json(await receive(c.var.ctx, c.req.valid('param').id, c.req.raw.headers, body), 200)
  })
  app.route('/', router)
}

/** The bytes themselves, for the signature is over them. */
async function bodyUpTo(request: Request, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > most) throw new Problem('too_large', `The body is larger than ${most} bytes.`)
    chunks.push(chunk)
  }
  const all = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}
