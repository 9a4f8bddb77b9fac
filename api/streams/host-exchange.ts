/** HTTP exchanges with a session's host program (screenshot, files, metrics, display) and its logs, carried as streams of kind `http`/`logs`. */

import type { StreamTarget } from '#protocol/link-messages.ts'
import type { Ctx } from '../context.ts'
import { invalid, Problem, type ProblemCode, problems } from '../problem.ts'
import { findSession } from '../sessions/read.ts'
import { grantStream } from './grant.ts'

type HostRequest = NonNullable<StreamTarget['request']>

export interface Exchange {
  request: HostRequest
  body?: ReadableStream<Uint8Array> | null
  audited?: boolean
  /** Also of a session that has ended. */
  alsoEnded?: boolean
}

/** The host's answer as it comes; its errors become problems. */
export async function askHost(ctx: Ctx, session: string, exchange: Exchange, signal: AbortSignal): Promise<Response> {
  const found = await findSession(ctx, session)
  const grant = await grantStream(ctx, found, {
    kind: 'http',
    role: 'control',
    target: { request: exchange.request },
    audited: exchange.audited ?? false,
    alsoEnded: exchange.alsoEnded ?? false,
  })
  return answerOrProblem(await ctx.tunnel.openHttp(grant, exchange.body ?? null, signal))
}

/** What the far end refused is thrown as a problem. `pointer`: where what it finds invalid is; most often the path of a file. */
export async function answerOrProblem(answer: Response, pointer = '?path'): Promise<Response> {
  if (answer.status < 400) return answer
  throw await hostProblem(answer, pointer)
}

export async function readLogs(
  ctx: Ctx,
  session: string,
  logs: NonNullable<StreamTarget['logs']>,
  signal: AbortSignal,
): Promise<Response> {
  const found = await findSession(ctx, session)
  const grant = await grantStream(ctx, found, { kind: 'logs', role: 'view', target: { logs }, audited: false, alsoEnded: true })
  return answerOrProblem(await ctx.tunnel.openHttp(grant, null, signal))
}

/** Hosts answer errors as `{code?, detail?}`; codes we know keep their status, others take the nearest. */
async function hostProblem(answer: Response, pointer: string): Promise<Problem> {
  const text = (await answer.text()).slice(0, 2000)
  let said: { code?: string; detail?: string } = {}
  try {
    said = JSON.parse(text) as typeof said
  } catch {
    said = { detail: text }
  }
  const byStatus: Record<number, ProblemCode> = {
    400: 'bad_request',
    404: 'not_found',
    409: 'conflict',
    413: 'too_large',
    422: 'invalid',
    503: 'unavailable',
    504: 'target_timeout',
  }
  const known = said.code && Object.hasOwn(problems, said.code) ? (said.code as ProblemCode) : undefined
  const code = known ?? byStatus[answer.status] ?? 'target_refused'
  const detail = said.detail || 'The session refused the request.'
  return code === 'invalid' ? invalid(pointer, detail) : new Problem(code, detail)
}

/** Only the body and its length come from the session; every other header is ours. */
export function fromSession(answer: Response, headers: Record<string, string>): Response {
  const length = answer.headers.get('content-length')
  return new Response(answer.body, {
    status: 200,
    headers: {
      ...headers,
      ...(length === null ? {} : { 'content-length': length }),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
    },
  })
}
