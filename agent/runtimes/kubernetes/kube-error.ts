/** What went wrong between us and the API server, with the few questions everybody asks of it. */
import type { KubeStatus } from './wire.ts'

export class KubeError extends Error {
  /** HTTP status; 0: no answer at all. */
  readonly status: number
  /** Kubernetes' word: `NotFound`, `AlreadyExists`, `Conflict`, `Forbidden`, `Expired`, … */
  readonly reason: string
  readonly retryAfterMs: number | null

  constructor(status: number, reason: string, message: string, retryAfterMs: number | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'KubeError'
    this.status = status
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }

  static fromAnswer(status: number, text: string, retryAfter: string | undefined): KubeError {
    const told = parseStatus(text)
    const seconds = Number(retryAfter ?? told?.details?.retryAfterSeconds)
    const message = told?.message ?? (text.slice(0, 300).trim() || `the API server answered ${status}`)
    return new KubeError(status, told?.reason ?? '', message, Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null)
  }

  static noAnswer(cause: unknown, detail: string): KubeError {
    return new KubeError(0, 'NoAnswer', `the API server did not answer: ${detail}`, null, cause)
  }

  /** Asking again may help; everything we ask is safe to ask twice. */
  get isPassing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500
  }
}

export function isKubeError(error: unknown, status: number, reason?: string): error is KubeError {
  return error instanceof KubeError && error.status === status && (reason === undefined || error.reason === reason)
}

/** What was read is not what is there now: another version, another object of that name, or none. */
export function isOvertaken(error: unknown): boolean {
  const { status, message } = error instanceof KubeError ? error : { status: -1, message: '' }
  // A patch that names another object's uid is called invalid, not a conflict.
  return status === 404 || status === 409 || (status === 422 && /metadata\.uid/.test(message))
}

function parseStatus(text: string): KubeStatus | null {
  try {
    const value = JSON.parse(text) as KubeStatus
    return value?.kind === 'Status' ? value : null
  } catch {
    return null
  }
}
