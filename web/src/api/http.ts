/** How the dashboard asks the API. The cookie of the login travels by itself; nothing here ever holds a token. */
import { offlineError, problemOf } from './api-error.ts'

export interface ClientParts {
  fetch: typeof fetch
  /** Called for every 401 that speaks of the cookie. */
  onSignedOut: () => void
  /** Called with the server's `Date`, so that ages are counted by its clock. */
  onServerTime?: (epochMs: number) => void
  newKey?: () => string
}

export interface Call {
  method?: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  query?: Record<string, string | number | boolean | null | undefined>
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is, with a type of its own in `headers`. */
  raw?: Blob
  headers?: Record<string, string>
  signal?: AbortSignal
}

export interface Http {
  send: (path: string, call?: Call) => Promise<Response>
  json: <T>(path: string, call?: Call) => Promise<T>
  /** For calls whose answer may be empty (202, 204). */
  maybe: <T>(path: string, call?: Call) => Promise<T | null>
}

/** A 401 there says nothing about the cookie. */
const needsNoAccount = /^\/v1\/(auth\/login|links\/)/

export function createHttp({ fetch, onSignedOut, onServerTime, newKey = randomKey }: ClientParts): Http {
  async function send(path: string, call: Call = {}): Promise<Response> {
    const method = call.method ?? 'GET'
    const headers: Record<string, string> = { accept: 'application/json', ...call.headers }
    if (call.body !== undefined) headers['content-type'] = 'application/json'
    if (method === 'POST') headers['idempotency-key'] = newKey()
    const ask = () =>
      fetch(path + queryOf(call.query), {
        method,
        headers,
        credentials: 'same-origin',
        cache: 'no-store',
        ...(call.raw ? { body: call.raw } : call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        ...(call.signal ? { signal: call.signal } : {}),
      })
    let response: Response
    try {
      // A browser drops what is under way when its network changes: what only reads is asked once more.
      response = await ask().catch(error => {
        if (method !== 'GET' || call.signal?.aborted) throw error
        return ask()
      })
    } catch (error) {
      if (call.signal?.aborted) throw error
      throw offlineError()
    }
    const date = Date.parse(response.headers.get('date') ?? '')
    if (!Number.isNaN(date)) onServerTime?.(date)
    if (response.ok) return response
    if (response.status === 401 && !needsNoAccount.test(path)) onSignedOut()
    throw await problemOf(response)
  }

  async function json<T>(path: string, call?: Call): Promise<T> {
    const response = await send(path, call)
    return (await response.json()) as T
  }

  async function maybe<T>(path: string, call?: Call): Promise<T | null> {
    const response = await send(path, call)
    const text = await response.text()
    return text ? (JSON.parse(text) as T) : null
  }

  return { send, json, maybe }
}

function queryOf(query: Call['query']): string {
  const params = new URLSearchParams()
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined || value === '') continue
    params.set(key, String(value))
  }
  const text = params.toString()
  return text ? `?${text}` : ''
}

/** `crypto.randomUUID` is missing on plain http:// addresses other than localhost. */
function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}
