/** The three doors of agents; see agent/protocol/PROTOCOL.md. They bring their own proof: a join token, a signature, or a stream's key. */
import { z } from '@hono/zod-openapi'
import { EnrollRequest, EnrollResponse } from '#protocol/agent-identity.ts'
import { bearerOf, unauthorized } from '../auth.ts'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { isSecret } from '../tokens/format.ts'
import { enrollAgent } from './enroll.ts'
import { verifyAgent } from './identity.ts'

const upgraded = { description: 'The WebSocket is open.' }

const enroll = route({
  operationId: 'enrollAgent',
  method: 'post',
  path: '/v1/agent/enroll',
  access: 'agent',
  tags: ['Agents'],
  summary: "Register an agent's public key with a join token",
  request: { body: jsonBody(EnrollRequest) },
  responses: { 200: json(EnrollResponse, 'Registered'), ...problemAnswers('unauthorized') },
})

const link = route({
  operationId: 'agentLink',
  method: 'get',
  path: '/v1/agent/link',
  access: 'agent',
  tags: ['Agents'],
  summary: 'Control link of an agent (WebSocket)',
  responses: { 101: upgraded, ...problemAnswers('unauthorized', 'upgrade_required') },
})

const stream = route({
  operationId: 'agentStream',
  method: 'get',
  path: '/v1/agent/streams/{id}',
  access: 'agent',
  tags: ['Agents'],
  summary: 'Data socket of one stream (WebSocket)',
  request: { params: z.object({ id: z.string().max(64) }) },
  responses: { 101: upgraded, ...problemAnswers('unauthorized', 'upgrade_required') },
})

export const mountAgents: Mount = app => {
  app.openapi(enroll, async c => c.json(await enrollAgent(c.var.ctx, c.req.valid('json')), 200))

  app.openapi(link, async c => {
    wantUpgrade(c.req.raw)
    const { ctx } = c.var
    return (await ctx.tunnel.acceptLink(c.req.raw, await verifyAgent(ctx.db, c.req.raw.headers))) as never
  })

  app.openapi(stream, async c => {
    wantUpgrade(c.req.raw)
    const key = bearerOf(c.req.raw.headers)
    if (key === null || !isSecret('st', key)) throw unauthorized()
    return (await c.var.ctx.tunnel.acceptData(c.req.raw, c.req.valid('param').id, key)) as never
  })
}

function wantUpgrade(request: Request): void {
  if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket')
    throw new Problem('upgrade_required', 'This address speaks WebSocket only.', { headers: { upgrade: 'websocket' } })
}
