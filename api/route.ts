/**
 * How a route is declared. Each says who may call it (`access`); app.ts refuses to start with one that does not. Handlers are at most a few
 * lines: read valid input, call the verb with `c.var.ctx`, answer.
 */
import { createRoute, OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi'
import type { Context, MiddlewareHandler } from 'hono'
import { unauthorized } from './auth.ts'
import { type Ctx, holds, type Scope } from './context.ts'
import { idempotent } from './idempotency/middleware.ts'
import { jsonBodyOnly } from './json-body.ts'
import { type Limit, rateLimited } from './limits/middleware.ts'
import { type FieldError, Problem, type ProblemCode, problems } from './problem.ts'
import { refuseOutsideBounds } from './tokens/token-limits.ts'
import { TwoRouters } from './two-routers.ts'

/**
 * A scope; `token`: any valid token; `public`: nobody is asked; `agent`: checked by the handler against the agent's key;
 * `ticket`: a token with `sessions:connect` (terminals: `exec`), or a one-time ticket, checked by the handler.
 */
export type Access = Scope | 'token' | 'public' | 'agent' | 'ticket'

export type AppEnv = { Variables: { ctx: Ctx; requestId: string; later?: () => Promise<Response> } }
export type Router = OpenAPIHono<AppEnv>

export function newRouter(): Router {
  return new OpenAPIHono<AppEnv>({
    router: new TwoRouters(),
    defaultHook: result => {
      if (!result.success) throw invalidInput(result.target, result.error.issues)
    },
  })
}

type Issue = { path: PropertyKey[]; message: string; code?: string | undefined; keys?: string[] }

function invalidInput(target: string, issues: readonly Issue[]): Problem {
  const errors: FieldError[] = issues
    .flatMap(unknownNames)
    .slice(0, 50)
    .map(issue => ({
      pointer: target === 'json' ? issue.path.map(step => `/${pointerStep(step)}`).join('') : `?${issue.path.join('.')}`,
      detail: issue.message,
    }))
  const first = errors[0]
  const where = first?.pointer ? `${first.pointer}: ` : ''
  return new Problem('invalid', first ? `${where}${first.detail}` : 'The input does not fit.', { errors })
}

/** A name that nobody knows is pointed at itself, not at what it is in. */
function unknownNames(issue: Issue): Issue[] {
  if (issue.code !== 'unrecognized_keys' || !issue.keys) return [issue]
  return issue.keys.map(key => ({ path: [...issue.path, key], message: 'There is no such field.' }))
}

const pointerStep = (step: PropertyKey) => String(step).slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1')

const ProblemBody = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(problems) as [ProblemCode, ...ProblemCode[]]),
    request_id: z.string(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
  })
  .openapi('Problem')

/** Answers with one JSON object. */
export function json<T extends z.ZodType>(schema: T, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** A required JSON body. */
export function jsonBody<T extends z.ZodType>(schema: T) {
  return { required: true, content: { 'application/json': { schema } } }
}

/** The problems a route may answer, beside 401, 403, 422 and 500, which all may. Typed as nothing: handlers throw them, never return them. */
export function problemAnswers(...codes: ProblemCode[]): Record<never, never> {
  const byStatus: Record<number, string[]> = {}
  for (const code of codes) (byStatus[problems[code].status] ??= []).push(code)
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, words]) => [
      status,
      { description: words.join(' or '), content: { 'application/problem+json': { schema: ProblemBody } } },
    ]),
  )
}

/** What any route may answer besides what it declares. */
const anyOther = {
  default: { description: 'Any other problem', content: { 'application/problem+json': { schema: ProblemBody } } },
}

const idempotencyKey = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description: 'Repeating the request with the same key gets the same answer, with `Idempotent-Replayed: true`.',
} as const

type Answers = Record<string, { description: string; content?: object }>

/** Both; where they name problems of one status, the words of both. */
function mergedAnswers(ours: Answers, declared: Answers): Answers {
  const merged: Answers = { ...ours, ...declared }
  for (const [status, answer] of Object.entries(declared)) {
    const before = ours[status]
    if (!before || !('application/problem+json' in (answer.content ?? {}))) continue
    const words = new Set([before, answer].flatMap(({ description }) => description.split(' or ')))
    merged[status] = { ...answer, description: [...words].join(' or ') }
  }
  return merged
}

export interface RouteRules {
  access: Access
  operationId: string
  /** What it counts against; absent: POSTs against the project, the rest against nothing. Ending things is `none`. */
  limit?: Limit
  /** The verb waits for `ctx.rate` itself, and so may begin before that is known. */
  beginsEarly?: boolean
  /** The answer holds a secret: kept for its idempotency key only sealed with the caller's own. */
  secretAnswer?: boolean
}

/** `createRoute` with the guard for its `access`, limits, idempotency keys (POST) and the errors every route may answer. */
export function route<const R extends Omit<RouteConfig, 'security' | 'middleware'> & RouteRules>(config: R) {
  const { access, limit, beginsEarly, secretAnswer, ...rest } = config
  const open = access === 'public' || access === 'agent'
  const counted = limit ?? (rest.method === 'post' && !open ? 'project' : 'none')
  const keyed = rest.method === 'post' && !open
  const takesJson = 'application/json' in (rest.request?.body?.content ?? {})
  return createRoute({
    ...rest,
    'x-access': access,
    middleware: [
      guard(access),
      ...(counted === 'none' ? [] : [rateLimited(counted, beginsEarly)]),
      ...(takesJson ? [jsonBodyOnly] : []),
      ...(keyed ? [idempotent({ secret: secretAnswer === true })] : []),
    ],
    ...(keyed ? { parameters: [...(rest.parameters ?? []), idempotencyKey] } : {}),
    security: open ? [] : [{ bearer: [] }, { cookie: [] }],
    responses: {
      ...mergedAnswers(
        problemAnswers(
          ...(open ? [] : (['unauthorized', 'forbidden'] as const)),
          ...(rest.request ? (['invalid'] as const) : []),
          ...(takesJson ? (['bad_request', 'too_large', 'unsupported_media_type'] as const) : []),
          ...(keyed ? (['conflict'] as const) : []),
          ...(counted === 'none' ? [] : (['rate_limited'] as const)),
        ),
        rest.responses as Answers,
      ),
      ...anyOther,
    } as unknown as R['responses'],
  } as unknown as Omit<R, keyof RouteRules> & { middleware: MiddlewareHandler<AppEnv>[] }) as ReturnType<
    typeof createRoute<R['path'], Omit<R, keyof RouteRules> & { middleware: MiddlewareHandler<AppEnv>[] }>
  >
}

/**
 * A route whose path OpenAPI cannot say (a rest of several segments): declared in the document under `config.path`, answered at
 * `routingPath`. The same guard, no validated input.
 */
export function declareRoute(
  router: Router,
  config: Omit<RouteConfig, 'security' | 'middleware'> & { access: Access; operationId: string },
  routingPath: string,
  handler: (c: Context<AppEnv>) => Promise<Response>,
): void {
  const { middleware: _, ...documented } = route(config) as unknown as RouteConfig
  router.openAPIRegistry.registerPath(documented)
  router.on(config.method.toUpperCase(), routingPath, guard(config.access), handler)
}

function guard(access: Access): MiddlewareHandler<AppEnv> {
  return async function access_guard(c, next) {
    // Not `c.var`, which is made anew from all there is each time it is asked.
    const { actor } = c.get('ctx')
    if (access !== 'public' && access !== 'agent' && access !== 'ticket') {
      if (actor.kind !== 'token') throw unauthorized()
      if (access !== 'token' && !holds(actor, access)) {
        throw new Problem('forbidden', `This token lacks the scope ${access}.`)
      }
    }
    if (actor.kind === 'token') refuseOutsideBounds(actor, c.req.method, c.req.path)
    await next()
  }
}
