/** Who watches, and who of them may type. */
import type { ControlChange, ViewerList } from './contract.ts'
import type { Http } from './http.ts'

export function viewerCalls({ json }: Http) {
  const of = (session: string, what: string) => `/v1/sessions/${encodeURIComponent(session)}/${what}`
  return {
    viewers: (session: string, signal: AbortSignal) => json<ViewerList>(of(session, 'viewers'), { signal }),
    setControl: (session: string, body: ControlChange) => json<ViewerList>(of(session, 'control'), { method: 'PUT', body }),
  }
}
