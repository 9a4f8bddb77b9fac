import { z } from '@hono/zod-openapi'
import { sessionKinds } from '#protocol/session-spec.ts'
import { PageQuery } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { Template, TemplateCreate, TemplatePage, TemplateReplace } from './schema.ts'
import { createTemplate, deleteTemplate, getTemplate, listTemplates, replaceTemplate } from './service.ts'

const byId = { params: z.object({ id: z.string().max(64) }) }
const filters = PageQuery.extend({ category: z.string().max(63).optional(), kind: z.enum(sessionKinds).optional() })
const tags = ['Templates']

const list = route({
  method: 'get',
  path: '/v1/templates',
  operationId: 'listTemplates',
  access: 'sessions:read',
  tags,
  summary: 'The catalogue of what sessions can run',
  request: { query: filters },
  responses: { 200: json(TemplatePage, 'Templates, newest first.') },
})

const create = route({
  method: 'post',
  path: '/v1/templates',
  operationId: 'createTemplate',
  access: 'sessions:write',
  tags,
  summary: 'Add a template',
  description: 'An admin adds it for everybody, others for their own project.',
  request: { body: jsonBody(TemplateCreate) },
  responses: { 201: json(Template, 'Added.'), ...problemAnswers('conflict') },
})

const get = route({
  method: 'get',
  path: '/v1/templates/{id}',
  operationId: 'getTemplate',
  access: 'sessions:read',
  tags,
  summary: 'One template',
  request: byId,
  responses: { 200: json(Template, 'The template.'), ...problemAnswers('not_found') },
})

const replace = route({
  method: 'put',
  path: '/v1/templates/{id}',
  operationId: 'replaceTemplate',
  access: 'sessions:write',
  tags,
  summary: 'Replace a template',
  description: 'Sessions that run keep what they were made from.',
  request: { ...byId, body: jsonBody(TemplateReplace) },
  responses: { 200: json(Template, 'Replaced.'), ...problemAnswers('not_found') },
})

const remove = route({
  method: 'delete',
  path: '/v1/templates/{id}',
  operationId: 'deleteTemplate',
  access: 'sessions:write',
  tags,
  summary: 'Remove a template',
  request: byId,
  responses: { 204: { description: 'Removed.' }, ...problemAnswers('not_found') },
})

export const mountTemplates: Mount = app => {
  app.openapi(list, async c => c.json(await listTemplates(c.var.ctx, c.req.valid('query')), 200))
  app.openapi(create, async c => c.json(await createTemplate(c.var.ctx, c.req.valid('json')), 201))
  app.openapi(get, async c => c.json(await getTemplate(c.var.ctx, c.req.valid('param').id), 200))
  app.openapi(replace, async c => c.json(await replaceTemplate(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 200))
  app.openapi(remove, async c => {
    await deleteTemplate(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
}
