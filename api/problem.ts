/**
 * Every error of the API: RFC 9457 problem+json with a stable `code`. A code without a status does not compile.
 * Verbs throw `Problem`; the one `onError` of app.ts turns it into an answer. Anything else is a 500 that tells only the request id.
 */
export const problems = {
  bad_request: { status: 400, title: 'Bad request' },
  unauthorized: { status: 401, title: 'Unauthorized' },
  forbidden: { status: 403, title: 'Forbidden' },
  quota_exceeded: { status: 403, title: 'Quota exceeded' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  conflict: { status: 409, title: 'Conflict' },
  session_not_running: { status: 409, title: 'Session not running' },
  job_not_running: { status: 409, title: 'Job not running' },
  terminal_ended: { status: 410, title: 'Terminal ended' },
  too_large: { status: 413, title: 'Content too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  invalid: { status: 422, title: 'Invalid input' },
  upgrade_required: { status: 426, title: 'Upgrade required' },
  playwright_version: { status: 428, title: 'Playwright version mismatch' },
  rate_limited: { status: 429, title: 'Too many requests' },
  internal: { status: 500, title: 'Internal error' },
  target_refused: { status: 502, title: 'Target refused' },
  cluster_offline: { status: 503, title: 'Cluster offline' },
  no_capacity: { status: 503, title: 'No capacity' },
  unavailable: { status: 503, title: 'Unavailable' },
  target_timeout: { status: 504, title: 'Target timeout' },
} as const satisfies Record<string, { status: number; title: string }>
export type ProblemCode = keyof typeof problems

export interface FieldError {
  /** JSON pointer into the body, or `?name` for a query parameter. */
  pointer: string
  detail: string
}

export class Problem extends Error {
  readonly code: ProblemCode
  readonly errors: FieldError[] | undefined
  readonly headers: Record<string, string>
  constructor(
    code: ProblemCode,
    detail: string,
    more: { errors?: FieldError[]; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail, { cause: more.cause })
    this.name = 'Problem'
    this.code = code
    this.errors = more.errors
    this.headers = more.headers ?? {}
  }
  get status(): number {
    return problems[this.code].status
  }
}

/** 404 with one wording: also for other tenants' things, so that nobody can tell them from missing ones. */
export function notFound(what: string): Problem {
  return new Problem('not_found', `No such ${what}.`)
}

export function invalid(pointer: string, detail: string): Problem {
  return new Problem('invalid', detail, { errors: [{ pointer, detail }] })
}

export function problemResponse(problem: Problem, requestId: string): Response {
  const { status, title } = problems[problem.code]
  const body = {
    type: `https://porthole.dev/problems/${problem.code}`,
    title,
    status,
    detail: problem.message,
    code: problem.code,
    request_id: requestId,
    ...(problem.errors ? { errors: problem.errors } : {}),
  }
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'x-request-id': requestId,
      'cache-control': 'no-store',
      ...problem.headers,
    },
  })
}
