/** Terminals: shells that agents keep. Part of schema.ts, which says what holds for all tables. */
import { sql } from 'drizzle-orm'
import { bigint, check, index, integer, pgTable, text } from 'drizzle-orm/pg-core'
import { instant, now } from './columns.ts'
import { jobs } from './job-tables.ts'
import { clusters, projects, sessions, tokens } from './schema.ts'

/** What the agent knows of by itself, then what only the API can end it for. */
export type TerminalCause =
  | 'exited'
  | 'idle'
  | 'lost'
  | 'session_ended'
  | 'agent_stops'
  | 'requested'
  | 'token_ended'
  | 'never_opened'

export const terminals = pgTable(
  'terminals',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    /** It ends with this token. */
    token_id: text('token_id').references(() => tokens.id, { onDelete: 'cascade' }),
    cluster_id: text('cluster_id')
      .notNull()
      .references(() => clusters.id, { onDelete: 'cascade' }),
    session_id: text('session_id').references(() => sessions.id, { onDelete: 'cascade' }),
    job_id: text('job_id').references(() => jobs.id, { onDelete: 'cascade' }),
    pod: text('pod'),
    container: text('container'),
    shell: text('shell'),
    cols: integer('cols').notNull(),
    rows: integer('rows').notNull(),
    idle_timeout_seconds: integer('idle_timeout_seconds').notNull(),
    status: text('status').$type<'created' | 'running' | 'ended'>().notNull().default('created'),
    exit_code: integer('exit_code'),
    cause: text('cause').$type<TerminalCause>(),
    reason: text('reason'),
    /** The cluster's `seq` of the end that the agent must be told of; 0: none. */
    change_seq: bigint('change_seq', { mode: 'number' }).notNull().default(0),
    last_activity_at: instant('last_activity_at'),
    started_at: instant('started_at'),
    ended_at: instant('ended_at'),
    /** Its owner is done with it: seen by nobody, kept only until the agent knows. */
    deleted_at: instant('deleted_at'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    index('terminals_project').on(t.project_id, t.created_at, t.id),
    index('terminals_session').on(t.session_id),
    index('terminals_job').on(t.job_id),
    index('terminals_open').on(t.cluster_id).where(sql`${t.status} <> 'ended'`),
    index('terminals_cluster_change').on(t.cluster_id, t.change_seq),
    check('terminals_target', sql`num_nonnulls(${t.session_id}, ${t.job_id}) = 1`),
    check('terminals_status', sql`${t.status} in ('created', 'running', 'ended')`),
    check('terminals_ended', sql`(${t.ended_at} is not null) = (${t.status} = 'ended')`),
  ],
)
