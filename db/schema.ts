/**
 * Every table. Postgres is the truth: what must always hold is also a constraint here, true even if our code is wrong.
 * Desired state (`desired`, `generation`, `spec`, …) is written only by the API's verbs; observed state (`status`, `observed_*`, …)
 * only through the session lifecycle. Times are the database's clock.
 */
import { sql } from 'drizzle-orm'
import {
  type AnyPgColumn,
  bigint,
  bigserial,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uniqueIndex,
} from 'drizzle-orm/pg-core'
import type { AgentCapabilities, AgentLoad } from '../agent/protocol/link-messages.ts'
import type { Display, PodView, SessionSpec } from '../agent/protocol/session-spec.ts'
import { digest, instant, now, xid8 } from './columns.ts'
import { terminals } from './terminal-tables.ts'

export * from './job-tables.ts'
export * from './pool-tables.ts'
export * from './terminal-tables.ts'
export * from './works-tables.ts'

/** null: no limit. Storage and memory in bytes, cpu in millicores. */
export interface Quotas {
  max_sessions: number | null
  max_cpu_millis: number | null
  max_memory_bytes: number | null
  max_storage_bytes: number | null
  max_jobs: number | null
  requests_per_minute: number | null
  /** Open streams; absent in rows that are older. */
  max_streams?: number | null
  max_sessions_per_user?: number | null
  max_streams_per_user?: number | null
}

/** What a token may do at most, besides its project's quotas; absent: no limit of its own. */
export interface TokenLimits {
  max_sessions?: number
  max_streams?: number
  requests_per_minute?: number
  /** Only these sessions, and no creating. */
  sessions?: string[]
  /** Only sessions on these clusters. */
  clusters?: string[]
}

export const projects = pgTable('projects', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  quotas: jsonb('quotas').$type<Quotas>().notNull(),
  suspended_at: instant('suspended_at'),
  created_at: instant('created_at').notNull().default(now),
})

/** A token's secret is never stored: `hash` is the SHA-256 of the whole token. `user_id` is a word within its project. */
export const tokens = pgTable(
  'tokens',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    name: text('name').notNull(),
    hash: digest('hash').notNull(),
    last4: text('last4').notNull(),
    scopes: text('scopes').array().notNull(),
    /** Networks it may be used from; null: anywhere. */
    allowed_cidrs: text('allowed_cidrs').array(),
    limits: jsonb('limits').$type<TokenLimits>().notNull().default({}),
    expires_at: instant('expires_at'),
    created_by: text('created_by'),
    rotated_from: text('rotated_from').references((): AnyPgColumn => tokens.id, { onDelete: 'set null' }),
    /** Set on the older token of a rotation: valid until then. */
    grace_until: instant('grace_until'),
    revoked_at: instant('revoked_at'),
    last_used_at: instant('last_used_at'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [uniqueIndex('tokens_hash').on(t.hash), index('tokens_project').on(t.project_id, t.created_at)],
)

/** Dashboard logins: an opaque cookie stands for a token, ends with it, 12 h idle or 7 d at the latest. */
export const web_sessions = pgTable(
  'web_sessions',
  {
    hash: digest('hash').primaryKey(),
    token_id: text('token_id')
      .notNull()
      .references(() => tokens.id, { onDelete: 'cascade' }),
    expires_at: instant('expires_at').notNull(),
    idle_expires_at: instant('idle_expires_at').notNull(),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [index('web_sessions_token').on(t.token_id)],
)

export const clusters = pgTable(
  'clusters',
  {
    id: text('id').primaryKey(),
    /** Owner; null: shared by every project (made by an admin). */
    project_id: text('project_id').references(() => projects.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    labels: jsonb('labels').$type<Record<string, string>>().notNull().default({}),
    /** Counter of desired-state changes; taken in the transaction of each change so that no number is skipped. */
    seq: bigint('seq', { mode: 'number' }).notNull().default(0),
    /** Term of the agent's link; only ever rises. */
    epoch: bigint('epoch', { mode: 'number' }).notNull().default(0),
    /** Replica that holds the link of `epoch`; null: no link. */
    link_replica_id: text('link_replica_id'),
    link_since: instant('link_since'),
    link_seen_at: instant('link_seen_at'),
    report_seq: bigint('report_seq', { mode: 'number' }).notNull().default(0),
    agent_id: text('agent_id'),
    agent_public_key: jsonb('agent_public_key').$type<{ kty: string; crv: string; x: string }>(),
    agent_version: text('agent_version'),
    capabilities: jsonb('capabilities').$type<AgentCapabilities>(),
    load: jsonb('load').$type<AgentLoad>(),
    /** `cordoned`: takes no new sessions; `draining`: also ends the ones it has. */
    scheduling: text('scheduling').$type<'open' | 'cordoned' | 'draining'>().notNull().default('open'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    uniqueIndex('clusters_name').on(sql`coalesce(${t.project_id}, '')`, t.name),
    uniqueIndex('clusters_agent').on(t.agent_id),
    check('clusters_scheduling', sql`${t.scheduling} in ('open', 'cordoned', 'draining')`),
  ],
)

/** Single-use join tokens. Redeemed by one guarded UPDATE. */
export const enrollments = pgTable('enrollments', {
  hash: digest('hash').primaryKey(),
  cluster_id: text('cluster_id')
    .notNull()
    .references(() => clusters.id, { onDelete: 'cascade' }),
  created_by: text('created_by').notNull(),
  expires_at: instant('expires_at').notNull(),
  used_at: instant('used_at'),
  created_at: instant('created_at').notNull().default(now),
})

/** API processes: one heartbeat row each, so that liveness costs O(replicas) writes. */
export const replicas = pgTable('replicas', {
  id: text('id').primaryKey(),
  url: text('url'),
  seen_at: instant('seen_at').notNull().default(now),
  started_at: instant('started_at').notNull().default(now),
})

export const templates = pgTable(
  'templates',
  {
    /** A chosen word. */
    id: text('id').notNull(),
    /** null: built in or made by an admin, seen by every project. */
    project_id: text('project_id').references(() => projects.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    description: text('description').notNull().default(''),
    /** Everything a session takes from its template; shape in api/templates/schema.ts. */
    body: jsonb('body').$type<Record<string, unknown>>().notNull(),
    created_at: instant('created_at').notNull().default(now),
    updated_at: instant('updated_at').notNull().default(now),
  },
  t => [uniqueIndex('templates_id').on(sql`coalesce(${t.project_id}, '')`, t.id)],
)

/** Files that outlive sessions: a folder of the local runtime, a claim in Kubernetes. Lives on one cluster, from its first session on. */
export const volumes = pgTable(
  'volumes',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    name: text('name').notNull(),
    /** null until a session first uses it. */
    cluster_id: text('cluster_id').references(() => clusters.id),
    size_bytes: bigint('size_bytes', { mode: 'number' }),
    /** `deleted` stays as a tombstone until the agent has reported it absent. */
    desired: text('desired').$type<'present' | 'deleted'>().notNull().default('present'),
    change_seq: bigint('change_seq', { mode: 'number' }).notNull().default(0),
    last_used_at: instant('last_used_at'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    uniqueIndex('volumes_name').on(t.project_id, t.user_id, t.name).where(sql`${t.desired} = 'present'`),
    index('volumes_project').on(t.project_id, t.created_at, t.id),
    index('volumes_cluster_change').on(t.cluster_id, t.change_seq),
  ],
)

export type SessionStatus = 'queued' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failed' | 'expired'
export type TerminationReason = 'requested' | 'ttl' | 'idle' | 'failed' | 'drained' | 'start_timeout'

export const sessions = pgTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    created_by: text('created_by').notNull(),
    name: text('name'),
    template_id: text('template_id').notNull(),
    /** null while `queued`: not placed yet. */
    cluster_id: text('cluster_id').references(() => clusters.id),
    /** What the user asked of placement; kept so that a queued session can still be placed. */
    placement: jsonb('placement')
      .$type<{ cluster?: string; selector?: Record<string, string>; only?: string[] }>()
      .notNull()
      .default({}),
    spec: jsonb('spec').$type<SessionSpec>().notNull(),
    labels: jsonb('labels').$type<Record<string, string>>().notNull().default({}),
    /** Its home; at most one living session writes to a volume. */
    volume_id: text('volume_id').references(() => volumes.id),
    /** Who may type and point: every viewer whose role is `control`, or only the stream in `control_holder` (its user while that is gone). */
    control: text('control').$type<'shared' | 'single'>().notNull().default('shared'),
    control_holder: text('control_holder'),
    /** As given, for the answer (Kubernetes quantities). */
    resources: jsonb('resources').$type<Record<string, string>>().notNull().default({}),
    /** What this session holds of the project's quotas while it is not final. */
    cpu_millis: integer('cpu_millis').notNull().default(0),
    memory_bytes: bigint('memory_bytes', { mode: 'number' }).notNull().default(0),
    storage_bytes: bigint('storage_bytes', { mode: 'number' }).notNull().default(0),

    desired: text('desired').$type<'running' | 'stopped' | 'deleted'>().notNull().default('running'),
    generation: integer('generation').notNull().default(1),
    /** The cluster's `seq` of the last change of desired state. */
    change_seq: bigint('change_seq', { mode: 'number' }).notNull().default(0),
    ttl_seconds: integer('ttl_seconds'),
    idle_timeout_seconds: integer('idle_timeout_seconds'),
    touches: integer('touches').notNull().default(0),
    expires_at: instant('expires_at'),
    /** Why `desired` is no longer running, told as `termination_reason` once it ended. */
    ending_reason: text('ending_reason').$type<TerminationReason>(),

    status: text('status').$type<SessionStatus>().notNull(),
    status_reason: text('status_reason'),
    termination_reason: text('termination_reason').$type<TerminationReason>(),
    phases: jsonb('phases').$type<{ phase: string; at: string }[]>().notNull().default([]),
    display: jsonb('display').$type<Display>(),
    versions: jsonb('versions').$type<Record<string, string>>().notNull().default({}),
    notes: jsonb('notes').$type<string[]>().notNull().default([]),
    pod: jsonb('pod').$type<PodView>(),
    observed_generation: integer('observed_generation').notNull().default(0),
    /** The pool it was taken from, warm; and whether its agent has still to say that its settings are in force. */
    pool_id: text('pool_id'),
    settling: boolean('settling').notNull().default(false),
    last_activity_at: instant('last_activity_at'),

    created_at: instant('created_at').notNull().default(now),
    started_at: instant('started_at'),
    ended_at: instant('ended_at'),
  },
  t => [
    // Read backwards, newest first. (`desc()` here would put nulls last, an order that no list asks for: then none could use it.)
    index('sessions_project').on(t.project_id, t.created_at, t.id),
    index('sessions_created').on(t.created_at, t.id),
    index('sessions_active').on(t.project_id).where(sql`${t.status} in ('queued', 'starting', 'running', 'stopping')`),
    index('sessions_held').on(t.cluster_id).where(sql`${t.status} in ('starting', 'running', 'stopping')`),
    index('sessions_queued').on(t.created_at).where(sql`${t.status} = 'queued'`),
    index('sessions_cluster_change').on(t.cluster_id, t.change_seq),
    index('sessions_expiring').on(t.expires_at).where(sql`${t.status} in ('queued', 'starting', 'running')`),
    /** Get-or-create: one live session per name within project and user. */
    uniqueIndex('sessions_live_name')
      .on(t.project_id, t.user_id, t.name)
      .where(
        sql`${t.name} is not null and ${t.desired} <> 'deleted' and ${t.status} in ('queued', 'starting', 'running', 'stopping')`,
      ),
    uniqueIndex('sessions_volume_writer')
      .on(t.volume_id)
      .where(sql`${t.volume_id} is not null and ${t.status} in ('queued', 'starting', 'running', 'stopping')`),
    check('sessions_status', sql`${t.status} in ('queued', 'starting', 'running', 'stopping', 'stopped', 'failed', 'expired')`),
    check('sessions_desired', sql`${t.desired} in ('running', 'stopped', 'deleted')`),
    check('sessions_final', sql`(${t.ended_at} is not null) = (${t.status} in ('stopped', 'failed', 'expired'))`),
    check('sessions_placed', sql`${t.cluster_id} is not null or ${t.status} in ('queued', 'stopped', 'failed', 'expired')`),
  ],
)

/** What happened, for `GET /v1/events` and session timelines. Readers see only rows older than every open transaction: see api/events. */
export const events = pgTable(
  'events',
  {
    /** Order within one transaction; the order of all is (tx, seq). */
    seq: bigserial('seq', { mode: 'number' }).primaryKey(),
    tx: xid8('tx').notNull().default(sql`pg_current_xact_id()`),
    id: text('id').notNull(),
    project_id: text('project_id'),
    session_id: text('session_id'),
    type: text('type').notNull(),
    data: jsonb('data').$type<Record<string, unknown>>().notNull(),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    uniqueIndex('events_id').on(t.id),
    index('events_order').on(t.tx, t.seq),
    index('events_session').on(t.session_id, t.seq),
    index('events_age').on(t.created_at),
  ],
)

/** One-time, 30 s: opens one stream. Redeemed by one guarded UPDATE. */
export const tickets = pgTable(
  'tickets',
  {
    hash: digest('hash').primaryKey(),
    /** null: of a terminal in a job. */
    session_id: text('session_id').references(() => sessions.id, { onDelete: 'cascade' }),
    terminal_id: text('terminal_id').references((): AnyPgColumn => terminals.id, { onDelete: 'cascade' }),
    project_id: text('project_id').notNull(),
    token_id: text('token_id').references(() => tokens.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    link_id: text('link_id'),
    stream: text('stream').notNull(),
    role: text('role').$type<'view' | 'control'>().notNull(),
    port: integer('port'),
    /** Id that the stream will have. */
    stream_id: text('stream_id'),
    expires_at: instant('expires_at').notNull(),
    used_at: instant('used_at'),
  },
  t => [index('tickets_expiry').on(t.expires_at)],
)

/** Share links: whoever holds one may open the session's screen, without an account, until it ends. Only the SHA-256 is stored. */
export const links = pgTable(
  'links',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id').notNull(),
    session_id: text('session_id')
      .notNull()
      .references(() => sessions.id, { onDelete: 'cascade' }),
    token_id: text('token_id').references(() => tokens.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    hash: digest('hash').notNull(),
    role: text('role').$type<'view' | 'control'>().notNull(),
    max_viewers: integer('max_viewers'),
    expires_at: instant('expires_at').notNull(),
    revoked_at: instant('revoked_at'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [uniqueIndex('links_hash').on(t.hash), index('links_session').on(t.session_id, t.created_at)],
)

/** One row per live stream: who holds it and until when. Replicas re-check their open grants every few seconds. */
export const grants = pgTable(
  'grants',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id').notNull(),
    session_id: text('session_id').notNull(),
    terminal_id: text('terminal_id'),
    cluster_id: text('cluster_id').notNull(),
    token_id: text('token_id'),
    user_id: text('user_id').notNull(),
    link_id: text('link_id'),
    kind: text('kind').notNull(),
    role: text('role').$type<'view' | 'control'>().notNull(),
    /** Replica (or Durable Object) that holds the viewer. */
    replica_id: text('replica_id').notNull(),
    key_hash: digest('key_hash').notNull(),
    address: text('address'),
    /** Written once the agent's data socket came: later ones with the same key are refused. */
    joined_at: instant('joined_at'),
    closed_at: instant('closed_at'),
    close_code: integer('close_code'),
    /** When a guest asked for control; null once the session's user has decided. */
    asked_at: instant('asked_at'),
    /** Viewer to session, and back; known once it is closed. */
    bytes_in: bigint('bytes_in', { mode: 'number' }),
    bytes_out: bigint('bytes_out', { mode: 'number' }),
    opened_at: instant('opened_at').notNull().default(now),
  },
  t => [
    index('grants_session_open').on(t.session_id).where(sql`${t.closed_at} is null`),
    index('grants_replica_open').on(t.replica_id).where(sql`${t.closed_at} is null`),
    index('grants_age').on(t.opened_at),
  ],
)

/** Stripe's rules: same key and body -> the stored answer. Written in the transaction of the effect. */
export const idempotency_keys = pgTable(
  'idempotency_keys',
  {
    project_id: text('project_id').notNull(),
    /** Method and path. */
    route: text('route').notNull(),
    key: text('key').notNull(),
    request_hash: digest('request_hash').notNull(),
    /** null: in flight. */
    status: integer('status'),
    body: jsonb('body').$type<unknown>(),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [primaryKey({ columns: [t.project_id, t.route, t.key] }), index('idempotency_age').on(t.created_at)],
)

/**
 * Every change and every stream, in the transaction of the change. Rows are only added: a trigger refuses everything else but what retention
 * removes. (tx, seq) is their order, as of events.
 */
export const audit = pgTable(
  'audit',
  {
    id: text('id').primaryKey(),
    seq: bigserial('seq', { mode: 'number' }).notNull(),
    tx: xid8('tx').notNull().default(sql`pg_current_xact_id()`),
    project_id: text('project_id'),
    /** `token`, `agent`, `link`, `system`. */
    actor_kind: text('actor_kind').notNull(),
    actor: text('actor').notNull(),
    token_id: text('token_id'),
    action: text('action').notNull(),
    target: text('target').notNull(),
    outcome: text('outcome').notNull(),
    address: text('address'),
    request_id: text('request_id'),
    detail: jsonb('detail').$type<Record<string, unknown>>().notNull().default({}),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    index('audit_project').on(t.project_id, t.created_at, t.id),
    index('audit_age').on(t.created_at),
    index('audit_order').on(t.tx, t.seq),
  ],
)

/**
 * One chain of hashes per project over its audit, added behind by a sweep: each link's hash is over the one before and the record's row, so that no
 * record can be changed or taken out later without breaking it.
 */
export const audit_chain = pgTable(
  'audit_chain',
  {
    /** Empty: of no project. */
    project_id: text('project_id').notNull(),
    place: bigint('place', { mode: 'number' }).notNull(),
    audit_id: text('audit_id').notNull(),
    hash: digest('hash').notNull(),
  },
  t => [primaryKey({ columns: [t.project_id, t.place] }), uniqueIndex('audit_chain_record').on(t.audit_id)],
)

/** Small facts of the installation (bootstrap done, signing keys). */
export const settings = pgTable('settings', {
  key: text('key').primaryKey(),
  value: jsonb('value').$type<unknown>().notNull(),
  internal: boolean('internal').notNull().default(true),
})
