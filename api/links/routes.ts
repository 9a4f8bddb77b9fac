import { z } from '@hono/zod-openapi'
import { PageQuery, pageOf } from '../paging.ts'
import type { Mount } from '../resources.ts'
import { json, jsonBody, newRouter, problemAnswers, route } from '../route.ts'
import { Ticket } from '../streams/tickets.ts'
import { Link, LinkAsk, LinkCreate, LinkOpen, LinkWithUrl, SharedSession } from './schema.ts'
import { askForControl, createLink, listLinks, openLink, revokeLink, ticketForLink } from './service.ts'

const tags = ['Share links']
const params = z.object({ id: z.string().max(64) })

const create = route({
  access: 'sessions:connect',
  operationId: 'createLink',
  secretAnswer: true,
  method: 'post',
  path: '/v1/sessions/{id}/links',
  tags,
  summary: 'Share the screen: whoever has the link needs no account',
  request: { params, body: jsonBody(LinkCreate) },
  responses: { 201: json(LinkWithUrl, 'The link; its url is shown once'), ...problemAnswers('not_found', 'conflict') },
})

const list = route({
  access: 'sessions:read',
  operationId: 'listLinks',
  method: 'get',
  path: '/v1/sessions/{id}/links',
  tags,
  summary: 'Living links of a session',
  request: { params, query: PageQuery },
  responses: { 200: json(pageOf(Link, 'LinkList'), 'Links, newest first'), ...problemAnswers('not_found') },
})

const revoke = route({
  access: 'sessions:connect',
  operationId: 'revokeLink',
  method: 'delete',
  path: '/v1/sessions/{id}/links/{link}',
  tags,
  summary: 'End a link and the screens opened through it, now',
  request: { params: params.extend({ link: z.string().max(64) }) },
  responses: { 204: { description: 'Revoked' }, ...problemAnswers('not_found') },
})

const open = route({
  access: 'public',
  operationId: 'openLink',
  // Pages of guests look again and again, and many of them may have one address.
  limit: 'guess',
  method: 'post',
  path: '/v1/links/open',
  tags,
  summary: 'What a link shares (the link itself is the key)',
  request: { body: jsonBody(LinkOpen) },
  responses: { 200: json(SharedSession, 'What is shared'), ...problemAnswers('not_found') },
})

const ask = route({
  access: 'public',
  operationId: 'askForControl',
  limit: 'login',
  method: 'post',
  path: '/v1/links/ask',
  tags,
  summary: 'Ask the session’s user for control (of a link with role `control`, while another one has it)',
  request: { body: jsonBody(LinkAsk) },
  responses: {
    200: json(SharedSession, 'Asked; `asked_at` is null again once that was decided'),
    ...problemAnswers('not_found', 'conflict'),
  },
})

const ticket = route({
  access: 'public',
  operationId: 'linkTicket',
  limit: 'login',
  method: 'post',
  path: '/v1/links/tickets',
  tags,
  summary: 'A one-time ticket for the shared screen',
  request: { body: jsonBody(LinkOpen) },
  responses: { 201: json(Ticket, 'The ticket'), ...problemAnswers('not_found', 'conflict') },
})

export const mountLinks: Mount = app => {
  const router = newRouter()
  router.openapi(create, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await createLink(c.var.ctx, c.req.valid('param').id, c.req.valid('json')), 201)
  })
  router.openapi(list, async c => c.json(await listLinks(c.var.ctx, c.req.valid('param').id, c.req.valid('query')), 200))
  router.openapi(revoke, async c => {
    const { id, link } = c.req.valid('param')
    await revokeLink(c.var.ctx, id, link)
    return c.body(null, 204)
  })
  router.openapi(open, async c => {
    const { link, viewer } = c.req.valid('json')
    return c.json(await openLink(c.var.ctx, link, viewer), 200)
  })
  router.openapi(ask, async c => {
    const { link, viewer } = c.req.valid('json')
    return c.json(await askForControl(c.var.ctx, link, viewer), 200)
  })
  router.openapi(ticket, async c => {
    c.header('cache-control', 'no-store')
    return c.json(await ticketForLink(c.var.ctx, c.req.valid('json').link), 201)
  })
  app.route('/', router)
}
