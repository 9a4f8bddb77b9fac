/**
 * The one app. `createApp(platform)` knows neither Node nor Workers; it wires the rooms together: request id, origin and actor, then the
 * resources, then the one place where errors become answers.
 */
import { HTTPException } from 'hono/http-exception'
import { Authenticator } from './auth.ts'
import { type Actor, type Ctx, runAtOnce } from './context.ts'
import { newId, newRequestId } from './ids.ts'
import type { Platform, Services } from './platform.ts'
import { invalid, notFound, Problem, problemResponse } from './problem.ts'
import { resources } from './resources.ts'
import { newRouter, type Router } from './route.ts'
import { RequestMeter } from './status/request-meter.ts'
import { checkOrigin } from './web-security.ts'

export function createApp(platform: Platform): { app: Router; auth: Authenticator } {
  const app = newRouter()
  const auth = new Authenticator()
  const meter = new RequestMeter()
  app.use(meter.middleware)

  app.use(async function request_context(c, next) {
    const given = c.req.header('x-request-id')
    const requestId = given && /^[\w.-]{1,64}$/.test(given) ? given : newRequestId()
    c.set('requestId', requestId)
    const services = platform.services(c.req.raw, c.env)
    const ctx: Ctx = {
      ...services,
      config: platform.config,
      log: platform.log,
      requestId,
      origin: platform.config.publicUrl ?? originOf(c.req.url),
      actor: { kind: 'anonymous' },
      afterCommit: runAtOnce(platform.log),
    }
    ctx.actor = await actorOf(auth, c.req.raw, services, c.req.path)
    checkOrigin(ctx, c.req.raw)
    c.set('ctx', ctx)
    refuseNul(c.req.raw.url)
    await next()
    c.res.headers.set('x-request-id', requestId)
  })

  for (const mount of resources) mount(app, { platform, auth, meter })

  app.notFound(c => {
    const { method, path } = c.req
    const allowed = methodsAt(app, path)
    const shown = path.slice(0, 200)
    const problem =
      allowed.length === 0
        ? new Problem('not_found', `No such path: ${shown}.`)
        : new Problem('method_not_allowed', `${shown} takes no ${method}, only ${allowed.join(', ')}.`, {
            headers: { allow: allowed.join(', ') },
          })
    return problemResponse(problem, c.var.requestId)
  })
  app.onError((error, c) => {
    const requestId = c.var.requestId ?? newId('req')
    return problemResponse(asProblem(error, requestId, platform), requestId)
  })
  refuseUndeclared(app)
  return { app, auth }
}

/** What a path does take, when it is not taken as it was asked. */
function methodsAt(app: Router, path: string): string[] {
  return ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(method => {
    const [matched] = app.router.match(method, path)
    return matched.some(([[, route]]) => route.method === method)
  })
}

/** Of an address that was read before: scheme and host, without taking the rest apart. */
function originOf(url: string): string {
  return url.slice(0, url.indexOf('/', url.indexOf('//') + 2))
}

/** No id, name or cursor has a NUL in it, and the database would stumble over one. */
function refuseNul(url: string): void {
  if (!url.includes('%00')) return
  const { pathname, searchParams } = new URL(url)
  if (pathname.includes('%00')) throw notFound('path')
  for (const [name, value] of searchParams)
    if (value.includes('\0')) throw invalid(`?${name.slice(0, 100)}`, 'Must not contain a NUL.')
}

/** Paths where nobody is asked who they are: agents bring their own proof; logging in and out must work with a cookie that is over. */
const notUserTokens = /^\/v1\/agent\/|^\/v1\/auth\/log(in|out)$|^\/(health|ready|metrics|openapi\.json|docs)$/

async function actorOf(auth: Authenticator, request: Request, services: Services, path: string): Promise<Actor> {
  if (!path.startsWith('/v1/') || notUserTokens.test(path)) return { kind: 'anonymous' }
  try {
    return (await auth.actor(request, services)) ?? { kind: 'anonymous' }
  } catch (error) {
    if (!isConnectionLoss(error)) throw error
    throw new Problem('unavailable', 'The database cannot be reached.', { headers: { 'retry-after': '1' }, cause: error })
  }
}

function asProblem(error: unknown, requestId: string, platform: Platform): Problem {
  if (error instanceof Problem) return error
  if (error instanceof HTTPException) {
    const code = { 400: 'bad_request', 404: 'not_found', 413: 'too_large', 415: 'unsupported_media_type' }[error.status as number]
    return new Problem((code ?? 'bad_request') as 'bad_request', error.message || 'The request cannot be read.')
  }
  if (isConnectionLoss(error)) {
    platform.log.warn('database_unreachable', { request_id: requestId })
    return new Problem('unavailable', 'The database cannot be reached.', { headers: { 'retry-after': '1' } })
  }
  const cause =
    error instanceof Error
      ? { message: error.message, stack: error.stack, cause: String(error.cause ?? '') }
      : { message: String(error) }
  platform.log.error('request_failed', { request_id: requestId, ...cause })
  return new Problem('internal', 'Something went wrong on our side.')
}

/** postgres.js and Node name lost connections by code; drizzle wraps them as `cause`. */
export function isConnectionLoss(error: unknown): boolean {
  const code = (error as { code?: unknown })?.code
  if (
    typeof code === 'string' &&
    /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|EPIPE|ENOTFOUND|ETIMEDOUT|ENOENT|57P0[1-3]|53300|08)/.test(code)
  )
    return true
  const cause = (error as { cause?: unknown })?.cause
  return cause !== undefined && cause !== error && isConnectionLoss(cause)
}

/** Default deny: a route that does not say who may call it is a fault of the program. */
function refuseUndeclared(app: Router): void {
  const declared = new Set<string>()
  for (const definition of app.openAPIRegistry.definitions) {
    if (definition.type !== 'route') continue
    const { method, path } = definition.route
    if ('x-access' in definition.route) declared.add(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`)
  }
  for (const { method, path } of app.routes) {
    if (method === 'ALL' || declared.has(`${method} ${path.replaceAll(/\{[^}]*\}$/g, '')}`)) continue
    throw new Error(`route ${method} ${path} does not declare its access`)
  }
}
