import type { Mount } from '../resources.ts'
import { json, jsonBody, problemAnswers, route } from '../route.ts'
import { getMe } from './me.ts'
import { Login, Me } from './schema.ts'
import { logIn, logOut } from './service.ts'

const tags = ['Auth']

const login = route({
  method: 'post',
  path: '/v1/auth/login',
  operationId: 'logIn',
  access: 'public',
  limit: 'login',
  tags,
  summary: 'Exchange a token for the dashboard’s cookie',
  description:
    'The cookie is opaque, HttpOnly and SameSite=Strict; it ends with the token, after 12 h without use, or after 7 days.',
  request: { body: jsonBody(Login) },
  responses: { 200: json(Me, 'Logged in; the answer of GET /v1/me.'), ...problemAnswers('unauthorized', 'forbidden') },
})

const logout = route({
  method: 'post',
  path: '/v1/auth/logout',
  operationId: 'logOut',
  access: 'public',
  tags,
  summary: 'End the dashboard’s login',
  responses: { 204: { description: 'Logged out, also when nobody was logged in.' } },
})

const me = route({
  method: 'get',
  path: '/v1/me',
  operationId: 'getMe',
  access: 'token',
  tags,
  summary: 'Project, user, scopes, limits and what is left of them',
  responses: { 200: json(Me, 'Who the token is.') },
})

export const mountAuth: Mount = (app, { auth }) => {
  app.openapi(login, async c => {
    const { ctx } = c.var
    const { token } = c.req.valid('json')
    c.header('set-cookie', await logIn(ctx, auth, token, c.req.header('origin') ?? null))
    return c.json(await getMe({ ...ctx, actor: await auth.actorOf(token, ctx) }), 200)
  })
  app.openapi(logout, async c => {
    for (const line of await logOut(c.var.ctx, auth, c.req.raw.headers)) c.header('set-cookie', line, { append: true })
    return c.body(null, 204)
  })
  app.openapi(me, async c => c.json(await getMe(c.get('ctx')), 200))
}
