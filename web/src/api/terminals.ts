/** Shells in sessions and jobs. */
import type { List, Terminal, TerminalCreate, Ticket } from './contract.ts'
import type { Http } from './http.ts'

export function terminalCalls({ json, maybe }: Http) {
  const terminal = (id: string, rest = '') => `/v1/terminals/${encodeURIComponent(id)}${rest}`
  return {
    terminals: (of: { session: string } | { job: string }, signal?: AbortSignal) =>
      json<List<Terminal>>('/v1/terminals', {
        query: { ...of, status: 'active', limit: 50 },
        ...(signal ? { signal } : {}),
      }),
    terminal: (id: string, signal?: AbortSignal) => json<Terminal>(terminal(id), { ...(signal ? { signal } : {}) }),
    createTerminal: (body: TerminalCreate) => json<Terminal>('/v1/terminals', { method: 'POST', body }),
    closeTerminal: (id: string) => maybe(terminal(id), { method: 'DELETE' }),
    terminalTicket: (id: string) => json<Ticket>(terminal(id, '/tickets'), { method: 'POST' }),
  }
}
