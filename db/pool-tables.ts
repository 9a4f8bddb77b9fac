/** Pools and the warm sessions in them. */
import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import type { Display, PodView, SessionSpec } from '../agent/protocol/session-spec.ts'
import { instant, now } from './columns.ts'
import { clusters, projects } from './schema.ts'

/** What a pool's sessions have beyond their template; shape in api/pools/schema.ts. */
export interface PoolOverrides {
  browser?: 'chromium' | 'firefox' | 'webkit' | undefined
  headless?: boolean | undefined
  display?: Display | undefined
  resources?: { cpu?: string | undefined; memory?: string | undefined; storage?: string | undefined } | undefined
}

/** How many sessions of a template a cluster keeps warm, for nobody yet. */
export const pools = pgTable(
  'pools',
  {
    id: text('id').primaryKey(),
    /** Its cluster's: null serves every project. */
    project_id: text('project_id').references(() => projects.id, { onDelete: 'cascade' }),
    cluster_id: text('cluster_id')
      .notNull()
      .references(() => clusters.id, { onDelete: 'cascade' }),
    template_id: text('template_id').notNull(),
    overrides: jsonb('overrides').$type<PoolOverrides>().notNull().default({}),
    size: integer('size').notNull(),
    /** Kept when nobody has asked for one for `idle_after_seconds`. */
    idle_size: integer('idle_size').notNull(),
    idle_after_seconds: integer('idle_after_seconds').notNull(),
    /** An older one is replaced before it is handed out. */
    max_age_seconds: integer('max_age_seconds').notNull(),
    /** What a create must ask for to get one of these; follows the template. */
    fit: text('fit'),
    /** Starts that failed one after the other, and when the next may be tried. */
    failures: integer('failures').notNull().default(0),
    retry_at: instant('retry_at'),
    status_reason: text('status_reason'),
    last_asked_at: instant('last_asked_at'),
    hits: bigint('hits', { mode: 'number' }).notNull().default(0),
    misses: bigint('misses', { mode: 'number' }).notNull().default(0),
    refills: bigint('refills', { mode: 'number' }).notNull().default(0),
    refill_ms: bigint('refill_ms', { mode: 'number' }).notNull().default(0),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    index('pools_project').on(t.project_id, t.created_at, t.id),
    index('pools_cluster').on(t.cluster_id),
    check('pools_size', sql`${t.size} between 0 and 1000 and ${t.idle_size} between 0 and ${t.size}`),
  ],
)

/**
 * A session that nobody has yet. It has the id it will keep: who takes it deletes this row and writes a session of the same id, so that
 * for its agent only its owner and its late settings change.
 */
export const warm_sessions = pgTable(
  'warm_sessions',
  {
    id: text('id').primaryKey(),
    pool_id: text('pool_id').references(() => pools.id, { onDelete: 'set null' }),
    cluster_id: text('cluster_id')
      .notNull()
      .references(() => clusters.id, { onDelete: 'cascade' }),
    spec: jsonb('spec').$type<SessionSpec>().notNull(),
    fit: text('fit').notNull(),
    desired: text('desired').$type<'running' | 'deleted'>().notNull().default('running'),
    change_seq: bigint('change_seq', { mode: 'number' }).notNull().default(0),
    status: text('status').$type<'starting' | 'ready' | 'ended'>().notNull().default('starting'),
    /** The link's term in which it was last said to run: another one has not seen it yet. */
    ready_epoch: bigint('ready_epoch', { mode: 'number' }),
    display: jsonb('display').$type<Display>(),
    versions: jsonb('versions').$type<Record<string, string>>().notNull().default({}),
    notes: jsonb('notes').$type<string[]>().notNull().default([]),
    pod: jsonb('pod').$type<PodView>(),
    created_at: instant('created_at').notNull().default(now),
    ready_at: instant('ready_at'),
  },
  t => [
    index('warm_sessions_cluster_change').on(t.cluster_id, t.change_seq),
    index('warm_sessions_pool').on(t.pool_id),
    index('warm_sessions_ready').on(t.fit, t.ready_at, t.id).where(sql`${t.status} = 'ready' and ${t.desired} = 'running'`),
    check('warm_sessions_status', sql`${t.status} in ('starting', 'ready', 'ended')`),
    check('warm_sessions_desired', sql`${t.desired} in ('running', 'deleted')`),
  ],
)
