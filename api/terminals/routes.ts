import { z } from '@hono/zod-openapi'
import { unauthorized } from '../auth.ts'
import { holds } from '../context.ts'
import { Problem } from '../problem.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { upgradeParameters } from '../streams/tickets.ts'
import { openTerminal } from './open.ts'
import { getTerminal, listTerminals } from './read.ts'
import { Terminal, TerminalCreate, TerminalFilters, TerminalPage, TerminalsOf, TerminalTicket } from './schema.ts'
import { createTerminal, deleteTerminal, deleteTerminalsOf, terminalTicket } from './service.ts'

const tags = ['Terminals']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'exec',
  operationId: 'createTerminal',
  method: 'post',
  path: '/v1/terminals',
  tags,
  summary: 'A shell in a running session or job',
  request: { body: jsonBody(TerminalCreate) },
  responses: {
    201: json(Terminal, 'Open its `url` next'),
    ...problemAnswers('not_found', 'session_not_running', 'job_not_running', 'conflict', 'quota_exceeded', 'cluster_offline'),
  },
})

const list = route({
  access: 'exec',
  operationId: 'listTerminals',
  method: 'get',
  path: '/v1/terminals',
  tags,
  summary: 'Terminals of the project',
  request: { query: TerminalFilters },
  responses: { 200: json(TerminalPage, 'Terminals, newest first') },
})

const removeAll = route({
  access: 'exec',
  operationId: 'deleteTerminals',
  method: 'delete',
  path: '/v1/terminals',
  tags,
  summary: 'End all of one session or job',
  request: { query: TerminalsOf },
  responses: { 204: { description: 'Ended' } },
})

// GET with an upgrade opens it: one address for the object and its stream.
const get = route({
  access: 'ticket',
  operationId: 'getTerminal',
  method: 'get',
  path: '/v1/terminals/{id}',
  tags,
  summary: 'The terminal; as a WebSocket: its shell',
  parameters: upgradeParameters,
  description:
    'Needs the scope `exec`. With `Upgrade: websocket` (a Bearer token, or a ticket) it opens the shell. Subprotocol `binary`: binary messages are its ' +
    'bytes, text messages JSON: `{type: resize, cols, rows}`, `{type: eof}`, `{type: ping}` to it; `connected{offset, live}`, `gap{offset, bytes}`, ' +
    '`resized`, `exit{exit_code, reason}`, `pong` from it. Without that subprotocol bytes travel as `{type: input, data}` and `{type: output, offset, data}`.',
  request: {
    params,
    query: z.object({
      offset: z.coerce.number().int().min(0).optional().openapi({ description: 'WebSocket: go on at this byte of its output.' }),
    }),
  },
  responses: {
    200: json(Terminal, 'The terminal'),
    101: { description: 'The stream, once the shell runs' },
    ...problemAnswers('not_found', 'terminal_ended', 'target_refused', 'cluster_offline', 'target_timeout'),
  },
})

const remove = route({
  access: 'exec',
  operationId: 'deleteTerminal',
  method: 'delete',
  path: '/v1/terminals/{id}',
  tags,
  summary: 'End it and everything started in it',
  request: { params },
  responses: { 204: { description: 'Ended' }, ...problemAnswers('not_found') },
})

const ticket = route({
  access: 'exec',
  operationId: 'createTerminalTicket',
  secretAnswer: true,
  method: 'post',
  path: '/v1/terminals/{id}/tickets',
  tags,
  summary: 'A single-use ticket (30 s) that opens it, for browsers',
  request: { params },
  responses: { 201: json(TerminalTicket, 'The ticket'), ...problemAnswers('not_found') },
})

export const mountTerminals: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => c.json(await createTerminal(c.var.ctx, c.req.valid('json')), 201))
  router.openapi(list, async c => c.json(await listTerminals(c.var.ctx, c.req.valid('query')), 200))
  router.openapi(removeAll, async c => {
    await deleteTerminalsOf(c.var.ctx, c.req.valid('query'))
    return c.body(null, 204)
  })
  router.openapi(get, async c => {
    const { id } = c.req.valid('param')
    if (c.req.header('upgrade')?.toLowerCase() === 'websocket')
      return (await openTerminal(c.var.ctx, c.req.raw, id, c.req.valid('query').offset)) as never
    const { actor } = c.var.ctx
    if (actor.kind !== 'token') throw unauthorized()
    if (!holds(actor, 'exec')) throw new Problem('forbidden', 'This token lacks the scope exec.')
    return c.json(await getTerminal(c.var.ctx, id), 200)
  })
  router.openapi(remove, async c => {
    await deleteTerminal(c.var.ctx, c.req.valid('param').id)
    return c.body(null, 204)
  })
  router.openapi(ticket, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await terminalTicket(c.var.ctx, c.req.valid('param').id), 201)
  })
  app.route('/', router)
}
