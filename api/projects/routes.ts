import { z } from '@hono/zod-openapi'
import { PageQuery } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { ForceQuery, Project, ProjectCreate, ProjectPage, ProjectPatch } from './schema.ts'
import { createProject, deleteProject, getProject, listProjects, patchProject } from './service.ts'

const byId = { params: z.object({ id: z.string().max(64) }) }
const tags = ['Projects']

const list = route({
  method: 'get',
  path: '/v1/projects',
  operationId: 'listProjects',
  access: 'token',
  tags,
  summary: 'Projects with their quotas and use',
  description: 'An admin sees all of them, others their own.',
  request: { query: PageQuery },
  responses: { 200: json(ProjectPage, 'Projects, newest first.') },
})

const create = route({
  method: 'post',
  path: '/v1/projects',
  operationId: 'createProject',
  access: 'admin',
  tags,
  summary: 'Make a project',
  request: { body: jsonBody(ProjectCreate) },
  responses: { 201: json(Project, 'Made.') },
})

const get = route({
  method: 'get',
  path: '/v1/projects/{id}',
  operationId: 'getProject',
  access: 'token',
  tags,
  summary: 'One project',
  request: byId,
  responses: { 200: json(Project, 'The project.'), ...problemAnswers('not_found') },
})

const patch = route({
  method: 'patch',
  path: '/v1/projects/{id}',
  operationId: 'patchProject',
  access: 'admin',
  tags,
  summary: 'Change name, quotas, or suspend',
  description: 'Quotas that are not given stay; null lifts one. What runs beyond a lowered quota runs on.',
  request: { ...byId, body: jsonBody(ProjectPatch) },
  responses: { 200: json(Project, 'Changed.'), ...problemAnswers('not_found', 'conflict') },
})

const remove = route({
  method: 'delete',
  path: '/v1/projects/{id}',
  operationId: 'deleteProject',
  access: 'admin',
  tags,
  summary: 'Delete a project with everything in it',
  request: { ...byId, query: ForceQuery },
  responses: { 204: { description: 'Deleted.' }, ...problemAnswers('not_found', 'conflict') },
})

export const mountProjects: Mount = (app, { auth }) => {
  app.openapi(list, async c => c.json(await listProjects(c.var.ctx, c.req.valid('query')), 200))
  app.openapi(create, async c => c.json(await createProject(c.var.ctx, c.req.valid('json')), 201))
  app.openapi(get, async c => c.json(await getProject(c.var.ctx, c.req.valid('param').id), 200))
  app.openapi(patch, async c => c.json(await patchProject(c.var.ctx, auth, c.req.valid('param').id, c.req.valid('json')), 200))
  app.openapi(remove, async c => {
    await deleteProject(c.var.ctx, auth, c.req.valid('param').id, c.req.valid('query').force === 'true')
    return c.body(null, 204)
  })
}
