/** Tokens, projects, and the record of who did what. */
import type { AuditRecord, List, Project, ProjectCreate, ProjectPatch, Token, TokenCreate } from './contract.ts'
import type { Http } from './http.ts'

export interface AuditFilter {
  /** Exact, or a family: `session.*`. */
  action?: string
  actor?: string
  target?: string
  outcome?: string
  project?: string
  since?: string
}

export interface TokenFilter {
  status?: 'active' | 'ended' | ''
  project?: string
}

const exports = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const

export function tenantCalls({ send, json, maybe }: Http) {
  const token = (id: string, rest = '') => `/v1/tokens/${encodeURIComponent(id)}${rest}`
  const project = (id: string) => `/v1/projects/${encodeURIComponent(id)}`
  return {
    tokens: (filter: TokenFilter, cursor: string | null, signal: AbortSignal) =>
      json<List<Token>>('/v1/tokens', { query: { ...filter, cursor, limit: 50 }, signal }),
    createToken: (body: TokenCreate) => json<Token>('/v1/tokens', { method: 'POST', body }),
    rotateToken: (id: string, grace_seconds: number) =>
      json<Token>(token(id, '/rotate'), { method: 'POST', body: { grace_seconds } }),
    revokeToken: (id: string, leaked: boolean) =>
      maybe(token(id), { method: 'DELETE', query: { reason: leaked ? 'leaked' : null } }),

    projects: (cursor: string | null, signal: AbortSignal) =>
      json<List<Project>>('/v1/projects', { query: { cursor, limit: 100 }, signal }),
    createProject: (body: ProjectCreate) => json<Project>('/v1/projects', { method: 'POST', body }),
    changeProject: (id: string, body: ProjectPatch) => json<Project>(project(id), { method: 'PATCH', body }),
    deleteProject: (id: string, force: boolean) => maybe(project(id), { method: 'DELETE', query: force ? { force } : {} }),

    audit: (filter: AuditFilter, cursor: string | null, signal: AbortSignal) =>
      json<List<AuditRecord>>('/v1/audit', { query: { ...filter, cursor, limit: 50 }, signal }),
    /** The whole selection, oldest first. */
    async exportAudit(filter: AuditFilter, format: keyof typeof exports, signal: AbortSignal): Promise<Blob> {
      return (await send('/v1/audit', { query: { ...filter }, headers: { accept: exports[format] }, signal })).blob()
    },
  }
}
