import { z } from '@hono/zod-openapi'
import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { getToken, listTokens } from './read.ts'
import { revokeToken } from './revoke.ts'
import { RevokeQuery, Token, TokenCreate, TokenFilters, TokenPage, TokenRotate, TokenWithSecret } from './schema.ts'
import { createToken, rotateToken } from './service.ts'

const byId = { params: z.object({ id: z.string().max(64) }) }
const tags = ['Tokens']

const list = route({
  method: 'get',
  path: '/v1/tokens',
  operationId: 'listTokens',
  access: 'tokens',
  tags,
  summary: 'Tokens of the project',
  request: { query: TokenFilters },
  responses: { 200: json(TokenPage, 'Tokens, newest first, without their secrets.') },
})

const create = route({
  method: 'post',
  path: '/v1/tokens',
  operationId: 'createToken',
  access: 'tokens',
  secretAnswer: true,
  tags,
  summary: 'Make a token',
  description: 'Never stronger, longer or for someone else than the acting token. The secret is in `token`, once.',
  request: { body: jsonBody(TokenCreate) },
  responses: { 201: json(TokenWithSecret, 'Made.') },
})

const get = route({
  method: 'get',
  path: '/v1/tokens/{id}',
  operationId: 'getToken',
  access: 'tokens',
  tags,
  summary: 'One token',
  request: byId,
  responses: { 200: json(Token, 'The token, without its secret.'), ...problemAnswers('not_found') },
})

const revoke = route({
  method: 'delete',
  path: '/v1/tokens/{id}',
  operationId: 'revokeToken',
  access: 'tokens',
  tags,
  summary: 'Revoke a token',
  description:
    'New requests are refused within 5 s, open streams end within 15 s, on every replica. Doing it again changes nothing.',
  request: { ...byId, query: RevokeQuery },
  responses: { 204: { description: 'Revoked.' }, ...problemAnswers('not_found') },
})

const rotate = route({
  method: 'post',
  path: '/v1/tokens/{id}/rotate',
  operationId: 'rotateToken',
  access: 'tokens',
  secretAnswer: true,
  tags,
  summary: 'Replace a token by a new one of the same kind',
  request: { ...byId, body: { ...jsonBody(TokenRotate), required: false } },
  responses: { 201: json(TokenWithSecret, 'The newer token.'), ...problemAnswers('not_found', 'conflict') },
})

export const mountTokens: Mount = (app, { auth }) => {
  app.openapi(list, async c => c.json(await listTokens(c.var.ctx, c.req.valid('query')), 200))
  app.openapi(create, async c => c.json(await createToken(c.var.ctx, c.req.valid('json')), 201))
  app.openapi(get, async c => c.json(await getToken(c.var.ctx, c.req.valid('param').id), 200))
  app.openapi(revoke, async c => {
    await revokeToken(c.var.ctx, auth, c.req.valid('param').id, c.req.valid('query').reason)
    return c.body(null, 204)
  })
  app.openapi(rotate, async c => {
    const input = TokenRotate.parse(c.req.valid('json') ?? {})
    return c.json(await rotateToken(c.var.ctx, auth, c.req.valid('param').id, input), 201)
  })
}
