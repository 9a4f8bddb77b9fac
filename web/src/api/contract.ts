/**
 * The API as the dashboard sees it (design.md section 4). Types only: nothing here runs.
 * Fields that an older or newer API may leave out are optional, so that a missing one costs a line on a page and not the page.
 */

export type SessionStatus = 'queued' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed' | 'expired' | 'unreachable'
export type TerminationReason = 'requested' | 'ttl' | 'idle' | 'failed' | 'drained' | 'start_timeout' | (string & {})
export type ClipboardPolicy = 'none' | 'in' | 'out' | 'both'

export interface Display {
  width: number
  height: number
}

export interface Phase {
  phase: string
  at: string
}

export interface Container {
  name: string
  ready: boolean
  restarts: number
  state: string
  reason: string | null
}

export interface Pod {
  name: string
  namespace: string
  phase: string
  node: string | null
  ip: string | null
  containers: Container[]
}

export interface Session {
  id: string
  object: 'session'
  name: string | null
  project: string
  user: string
  template: string
  kind: 'browser' | 'desktop' | 'app'
  browser: string | null
  headless: boolean
  start_url: string | null
  cluster: string | null
  status: SessionStatus
  status_reason: string | null
  phases: Phase[]
  generation: number
  display: Display | null
  resources: { cpu?: string; memory?: string; storage?: string }
  labels: Record<string, string>
  volume: string | null
  clipboard: ClipboardPolicy
  egress: { mode: string; allow: string[] }
  recording: boolean
  created_at: string
  started_at: string | null
  ended_at: string | null
  ttl_seconds: number | null
  idle_timeout_seconds: number | null
  expires_at: string | null
  idle_expires_at: string | null
  last_activity_at: string | null
  termination_reason: TerminationReason | null
  queue: { position: number; reason: string } | null
  pod: Pod | null
  urls: { view: string; vnc: string | null; playwright: string | null; cdp: string | null }
  notes: string[]
  versions: Record<string, string>
}

export interface CreateSession {
  template: string
  name?: string
  cluster?: string
  selector?: Record<string, string>
  browser?: 'chromium' | 'firefox' | 'webkit'
  headless?: boolean
  start_url?: string
  display?: Display
  resources?: { cpu?: string; memory?: string; storage?: string }
  labels?: Record<string, string>
  ttl_seconds?: number
  idle_timeout_seconds?: number
}

export interface Template {
  id: string
  object: 'template'
  name: string
  description: string
  kind: 'browser' | 'desktop' | 'app'
  created_at: string
  display?: Display | undefined
  ttl_seconds?: number | undefined
  idle_timeout_seconds?: number | undefined
  browser?: string | undefined
  category?: string | undefined
  /** What create may set; absent: everything. */
  overridable?: string[] | undefined
}

export type ClusterStatus = 'pending' | 'online' | 'offline' | (string & {})
export type Scheduling = 'open' | 'cordoned' | 'draining'

export interface Capabilities {
  runtime: 'local' | 'kubernetes'
  kinds: string[]
  browsers: string[]
  features: string[]
  versions: Record<string, string>
  notes: string[]
  capacity: { sessions: number; cpu_millis: number | null; memory_bytes: number | null }
}

export interface ClusterLoad {
  sessions: number
  streams: number
  cpu_millis_used: number | null
  memory_bytes_used: number | null
}

export interface Enrollment {
  token: string
  expires_at: string
  command: string
}

export interface Cluster {
  id: string
  object: 'cluster'
  name: string
  labels?: Record<string, string>
  status: ClusterStatus
  scheduling?: Scheduling
  agent_version?: string | null
  capabilities?: Capabilities | null
  load?: ClusterLoad | null
  last_seen_at?: string | null
  created_at: string
  enrollment?: Enrollment | null
}

export type Scope =
  | 'sessions:read'
  | 'sessions:write'
  | 'sessions:connect'
  | 'jobs:read'
  | 'jobs:write'
  | 'exec'
  | 'manifests'
  | 'clusters:read'
  | 'clusters:admin'
  | 'tokens'
  | 'admin'

export interface Token {
  id: string
  object: 'token'
  name: string
  user: string
  scopes: Scope[]
  created_at: string
  project: string
  /** `rotated`: replaced by a newer one, still valid until `grace_until`. */
  status: 'active' | 'rotated' | 'expired' | 'revoked'
  expires_at: string | null
  last_used_at: string | null
  revoked_at: string | null
  grace_until: string | null
  last4: string
  /** The secret, only in the answer to create and rotate. */
  token?: string
}

export interface Me {
  project: { id: string; name: string }
  user: string
  scopes: Scope[]
  token: { id: string; name: string; expires_at: string | null; last4: string }
  limits: Record<string, number | null>
  usage: Record<string, number>
  remaining: Record<string, number | null>
}

export interface Ticket {
  ticket: string
  url: string
  expires_at: string
}

export interface List<T> {
  object: 'list'
  data: T[]
  has_more: boolean
  next_cursor: string | null
}

/** One event of `GET /v1/events`; `type` is `session.updated`, `cluster.updated`, … */
export interface LiveEvent {
  id: string
  object: 'event'
  type: string
  created_at: string
  session?: Session | null
  session_id?: string | null
  cluster?: Cluster | null
  cluster_id?: string | null
  token?: Token | null
  [more: string]: unknown
}

export interface Problem {
  type?: string
  title: string
  status: number
  detail?: string
  code?: string
  request_id?: string
  errors?: { pointer: string; detail: string }[]
}
