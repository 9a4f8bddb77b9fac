/** Every call the dashboard makes, one file per resource beside this one where there are many. */
import { buildCalls } from './builds.ts'
import type { Cluster, CreateSession, List, LiveEvent, Me, Recording, Scheduling, Session, Template, Ticket } from './contract.ts'
import { fileCalls } from './files.ts'
import { type ClientParts, createHttp } from './http.ts'
import { jobCalls } from './jobs.ts'
import { linkCalls } from './links.ts'
import { poolCalls } from './pools.ts'
import { tenantCalls } from './tenants.ts'
import { terminalCalls } from './terminals.ts'
import { viewerCalls } from './viewers.ts'
import { volumeCalls } from './volumes.ts'

export interface SessionFilter {
  /** Comma separated; also `active` and `ended`. */
  status?: string
  template?: string
  cluster?: string
}

export type Api = ReturnType<typeof createApi>

export function createApi(parts: ClientParts) {
  const http = createHttp(parts)
  const { send, json, maybe } = http
  const session = (id: string, rest = '') => `/v1/sessions/${encodeURIComponent(id)}${rest}`
  const cluster = (id: string, rest = '') => `/v1/clusters/${encodeURIComponent(id)}${rest}`

  return {
    ...jobCalls(http),
    ...linkCalls(http),
    ...buildCalls(http),
    ...fileCalls(http),
    ...poolCalls(http),
    ...tenantCalls(http),
    ...viewerCalls(http),
    ...volumeCalls(http),
    ...terminalCalls(http),
    login: (secret: string) => maybe('/v1/auth/login', { method: 'POST', body: { token: secret } }),
    logout: () => maybe('/v1/auth/logout', { method: 'POST' }),
    me: (signal?: AbortSignal) => json<Me>('/v1/me', { ...(signal ? { signal } : {}) }),

    sessions: (filter: SessionFilter, cursor: string | null, limit: number, signal?: AbortSignal) =>
      json<List<Session>>('/v1/sessions', { query: { ...filter, cursor, limit }, ...(signal ? { signal } : {}) }),
    session: (id: string, signal?: AbortSignal) => json<Session>(session(id), { ...(signal ? { signal } : {}) }),
    async createSession(body: CreateSession): Promise<{ session: Session; created: boolean }> {
      const response = await send('/v1/sessions', { method: 'POST', body })
      return { session: (await response.json()) as Session, created: response.status === 201 }
    },
    endSession: (id: string) => maybe<Session>(session(id), { method: 'DELETE' }),
    touchSession: (id: string, ttl_seconds?: number) =>
      maybe<Session>(session(id, '/touch'), { method: 'POST', ...(ttl_seconds ? { body: { ttl_seconds } } : {}) }),
    stopSession: (id: string) => maybe<Session>(session(id, '/stop'), { method: 'POST' }),
    startSession: (id: string) => maybe<Session>(session(id, '/start'), { method: 'POST' }),
    restartSession: (id: string) => maybe<Session>(session(id, '/restart'), { method: 'POST' }),
    async screenshot(id: string, width: number | null, signal?: AbortSignal): Promise<Blob> {
      const call = { query: { width }, headers: { accept: 'image/png' }, ...(signal ? { signal } : {}) }
      return (await send(session(id, '/screenshot'), call)).blob()
    },
    ticket: (id: string, role: 'view' | 'control') =>
      json<Ticket>(session(id, '/tickets'), { method: 'POST', body: { stream: 'vnc', role } }),
    logs: (id: string, query: { tail_lines: number; follow: boolean; container?: string }, signal: AbortSignal) =>
      send(session(id, '/logs'), { query, headers: { accept: 'text/plain' }, signal }),
    recordings: (id: string, signal: AbortSignal) => json<List<Recording>>(session(id, '/recordings'), { signal }),
    async recording(id: string, recording: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
      const call = { headers: { accept: 'application/octet-stream' }, signal }
      return new Uint8Array(await (await send(session(id, `/recordings/${recording}`), call)).arrayBuffer())
    },
    sessionEvents: (id: string, signal?: AbortSignal) =>
      json<List<LiveEvent>>(session(id, '/events'), { ...(signal ? { signal } : {}) }),

    templates: (signal?: AbortSignal) =>
      json<List<Template>>('/v1/templates', { query: { limit: 100 }, ...(signal ? { signal } : {}) }),

    clusters: (cursor: string | null, signal?: AbortSignal) =>
      json<List<Cluster>>('/v1/clusters', { query: { cursor, limit: 100 }, ...(signal ? { signal } : {}) }),
    createCluster: (body: { name: string; labels?: Record<string, string> }) =>
      json<Cluster>('/v1/clusters', { method: 'POST', body }),
    enrollCluster: (id: string) => json<Cluster>(cluster(id, '/enroll'), { method: 'POST' }),
    scheduleCluster: (id: string, scheduling: Scheduling) =>
      scheduling === 'draining'
        ? maybe<Cluster>(cluster(id, '/drain'), { method: 'POST' })
        : maybe<Cluster>(cluster(id), { method: 'PATCH', body: { scheduling } }),
    deleteCluster: (id: string) => maybe(cluster(id), { method: 'DELETE' }),
  }
}
