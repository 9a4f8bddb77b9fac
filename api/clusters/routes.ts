import { z } from '@hono/zod-openapi'
import { ForceQuery } from '../projects/schema.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { getCluster, listClusters } from './read.ts'
import {
  Cluster,
  ClusterCreate,
  ClusterDrain,
  ClusterEnroll,
  ClusterFilters,
  ClusterPage,
  ClusterPatch,
  ClusterWithEnrollment,
} from './schema.ts'
import { createCluster, deleteCluster, enrollCluster, patchCluster } from './service.ts'

const byId = { params: z.object({ id: z.string().max(64) }) }
const tags = ['Clusters']

const list = route({
  method: 'get',
  path: '/v1/clusters',
  operationId: 'listClusters',
  access: 'clusters:read',
  tags,
  summary: 'Clusters with their state, capabilities and load',
  request: { query: ClusterFilters },
  responses: { 200: json(ClusterPage, 'Clusters, newest first.') },
})

const create = route({
  method: 'post',
  path: '/v1/clusters',
  operationId: 'createCluster',
  access: 'clusters:admin',
  secretAnswer: true,
  tags,
  summary: 'Register a cluster',
  description: 'An admin registers it for all projects, others for their own. The answer says how to start its agent.',
  request: { body: jsonBody(ClusterCreate) },
  responses: { 201: json(ClusterWithEnrollment, 'Registered; its agent may enrol.'), ...problemAnswers('conflict') },
})

const get = route({
  method: 'get',
  path: '/v1/clusters/{id}',
  operationId: 'getCluster',
  access: 'clusters:read',
  tags,
  summary: 'One cluster',
  request: byId,
  responses: { 200: json(Cluster, 'The cluster.'), ...problemAnswers('not_found') },
})

const patch = route({
  method: 'patch',
  path: '/v1/clusters/{id}',
  operationId: 'patchCluster',
  access: 'clusters:admin',
  tags,
  summary: 'Change name, labels or scheduling',
  request: { ...byId, body: jsonBody(ClusterPatch) },
  responses: { 200: json(Cluster, 'Changed.'), ...problemAnswers('not_found', 'conflict') },
})

const remove = route({
  method: 'delete',
  path: '/v1/clusters/{id}',
  operationId: 'deleteCluster',
  access: 'clusters:admin',
  tags,
  summary: 'Remove a cluster',
  request: { ...byId, query: ForceQuery },
  responses: { 204: { description: 'Removed.' }, ...problemAnswers('not_found', 'conflict') },
})

const enroll = route({
  method: 'post',
  path: '/v1/clusters/{id}/enroll',
  operationId: 'enrollCluster',
  access: 'clusters:admin',
  secretAnswer: true,
  tags,
  summary: 'A new join token',
  description: 'For an agent that lost its key, or was never started. The one that is enrolled goes on until the token is used.',
  request: { ...byId, body: { ...jsonBody(ClusterEnroll), required: false } },
  responses: { 201: json(ClusterWithEnrollment, 'Made.'), ...problemAnswers('not_found') },
})

const drain = route({
  method: 'post',
  path: '/v1/clusters/{id}/drain',
  operationId: 'drainCluster',
  access: 'clusters:admin',
  limit: 'none',
  tags,
  summary: 'Empty a cluster, only close it to new sessions, or open it again',
  request: { ...byId, body: { ...jsonBody(ClusterDrain), required: false } },
  responses: { 200: json(Cluster, 'Changed.'), ...problemAnswers('not_found') },
})

function schedulingOf({ drain = true, cordon }: ClusterDrain): 'open' | 'cordoned' | 'draining' {
  if (cordon !== undefined) return cordon ? 'cordoned' : 'open'
  return drain ? 'draining' : 'open'
}

export const mountClusters: Mount = app => {
  app.openapi(list, async c => c.json(await listClusters(c.var.ctx, c.req.valid('query')), 200))
  app.openapi(create, async c => c.json(await createCluster(c.var.ctx, c.req.valid('json')), 201))
  app.openapi(get, async c => c.json(await getCluster(c.var.ctx, c.req.valid('param').id), 200))
  app.openapi(patch, async c => c.json(await patchCluster(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 200))
  app.openapi(remove, async c => {
    await deleteCluster(c.var.ctx, c.req.valid('param').id, c.req.valid('query').force === 'true')
    return c.body(null, 204)
  })
  app.openapi(enroll, async c => {
    const { expires_in_seconds } = ClusterEnroll.parse(c.req.valid('json') ?? {})
    return c.json(await enrollCluster(c.var.ctx, c.req.valid('param').id, expires_in_seconds), 201)
  })
  app.openapi(drain, async c => {
    const scheduling = schedulingOf(ClusterDrain.parse(c.req.valid('json') ?? {}))
    return c.json(await patchCluster(c.var.ctx, c.req.valid('param').id, { scheduling }), 200)
  })
}
