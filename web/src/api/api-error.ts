/** A request that failed, in words for people. `code` is the API's stable word, or `offline` when no answer came at all. */
import type { Problem } from './contract.ts'

export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly requestId: string | null
  readonly retryAfter: number | null
  /** Faults of single fields by name: `#/display/width` -> `display.width`. */
  readonly fields: ReadonlyMap<string, string>

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(problem.detail || problem.title)
    this.name = 'ApiError'
    this.status = problem.status
    this.code = problem.code ?? 'unknown'
    this.requestId = problem.request_id ?? null
    this.retryAfter = retryAfter
    this.fields = new Map((problem.errors ?? []).map(fault => [fieldName(fault.pointer), fault.detail]))
  }
}

/** JSON pointer, with or without the `#` of a URI fragment, to a dotted name. */
export function fieldName(pointer: string): string {
  return pointer
    .replace(/^#?\//, '')
    .split('/')
    .map(step => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
}

export async function problemOf(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get('retry-after')) || null
  const fallback: Problem = { title: titleOf(response.status), status: response.status }
  try {
    const body: unknown = await response.json()
    if (typeof body === 'object' && body !== null && 'title' in body)
      return new ApiError({ ...fallback, ...(body as Problem) }, retryAfter)
  } catch {
    // Not JSON: a proxy in between answered. The status is all there is to say.
  }
  return new ApiError(fallback, retryAfter)
}

export function offlineError(): ApiError {
  return new ApiError({ title: 'The server cannot be reached. Check your connection.', status: 0, code: 'offline' })
}

/** What to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.fields.size > 0) {
    const faults = [...error.fields].map(([field, detail]) => (field ? `${field}: ${detail}` : detail))
    return faults.join(' · ')
  }
  return error instanceof Error ? error.message : String(error)
}

function titleOf(status: number): string {
  if (status === 401) return 'You are signed out.'
  if (status === 403) return 'This token may not do that.'
  if (status === 404) return 'This no longer exists.'
  if (status === 429) return 'Too many requests. Wait a moment and try again.'
  if (status >= 500) return `The server failed (${status}). Try again in a moment.`
  return `The request was refused (${status}).`
}
