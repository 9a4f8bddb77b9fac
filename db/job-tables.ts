/** Jobs, their attempts, their output, and the secrets they get. Part of schema.ts, which says what holds for all tables. */
import { sql } from 'drizzle-orm'
import { bigint, boolean, check, index, integer, jsonb, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { JobCause, JobProgress, JobResource, JobSpec, JobType } from '../agent/protocol/job-spec.ts'
import { bytes, instant, now } from './columns.ts'
import { clusters, projects } from './schema.ts'

/** Values that jobs get by name. Sealed with a key that is not in the database (api/secrets); never answered. */
export const secrets = pgTable(
  'secrets',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    name: text('name').notNull(),
    sealed: text('sealed').notNull(),
    created_by: text('created_by').notNull(),
    created_at: instant('created_at').notNull().default(now),
    updated_at: instant('updated_at').notNull().default(now),
  },
  t => [uniqueIndex('secrets_name').on(t.project_id, t.name)],
)

export type JobStatus = 'queued' | 'running' | 'succeeded' | 'failed' | 'canceled'

/** What somebody sent to be built, as tar.gz. Kept for a while after its last use; `name` is free again once another has taken it. */
export const uploads = pgTable(
  'uploads',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    created_by: text('created_by').notNull(),
    /** null: it still comes, or another has taken its name. */
    name: text('name'),
    /** While it comes: what it may become. */
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    complete: boolean('complete').notNull().default(false),
    created_at: instant('created_at').notNull().default(now),
    /** Gone from then on, unless a job that is not over needs it. */
    expires_at: instant('expires_at').notNull(),
  },
  t => [uniqueIndex('uploads_name').on(t.project_id, t.name), index('uploads_expiry').on(t.expires_at)],
)

/** Its bytes, in order. */
export const upload_chunks = pgTable(
  'upload_chunks',
  {
    upload_id: text('upload_id')
      .notNull()
      .references(() => uploads.id, { onDelete: 'cascade' }),
    seq: integer('seq').notNull(),
    data: bytes('data').notNull(),
  },
  t => [primaryKey({ columns: [t.upload_id, t.seq] })],
)

/** Work with an end. `attempt` counts up with every retry; columns without a word about attempts are those of the present one. */
export const jobs = pgTable(
  'jobs',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    created_by: text('created_by').notNull(),
    name: text('name'),
    type: text('type').$type<JobType>().notNull(),
    spec: jsonb('spec').$type<JobSpec>().notNull(),
    /** What it builds from, where that was sent to us. */
    upload_id: text('upload_id').references(() => uploads.id, { onDelete: 'set null' }),
    labels: jsonb('labels').$type<Record<string, string>>().notNull().default({}),
    /** As given, for the answer (Kubernetes quantities). */
    resources_given: jsonb('resources_given').$type<Record<string, string>>().notNull().default({}),
    /** What it holds of the project's quotas from placement to its end. */
    cpu_millis: integer('cpu_millis').notNull().default(0),
    memory_bytes: bigint('memory_bytes', { mode: 'number' }).notNull().default(0),
    placement: jsonb('placement').$type<{ cluster?: string; selector?: Record<string, string> }>().notNull().default({}),
    /** Higher goes first within its project. */
    priority: integer('priority').notNull().default(0),
    timeout_seconds: integer('timeout_seconds').notNull(),
    grace_seconds: integer('grace_seconds').notNull(),
    /** Attempts that are made without being asked when one fails. */
    max_attempts: integer('max_attempts').notNull().default(1),

    /** null while it waits in the queue. */
    cluster_id: text('cluster_id').references(() => clusters.id, { onDelete: 'set null' }),
    attempt: integer('attempt').notNull().default(1),
    /** What the agent should know: `released` is no longer told to anybody. */
    desired: text('desired').$type<'running' | 'canceled' | 'finished' | 'deleted' | 'released'>().notNull().default('running'),
    /** Why it is being canceled. */
    cancel_cause: text('cancel_cause').$type<'canceled' | 'deadline'>(),
    change_seq: bigint('change_seq', { mode: 'number' }).notNull().default(0),
    /** The agent has told of this attempt: it exists, or existed. */
    seen: boolean('seen').notNull().default(false),

    status: text('status').$type<JobStatus>().notNull().default('queued'),
    status_reason: text('status_reason'),
    cause: text('cause').$type<JobCause>(),
    exit_code: integer('exit_code'),
    progress: jsonb('progress').$type<JobProgress>(),
    resources: jsonb('resources').$type<JobResource[]>().notNull().default([]),
    result: jsonb('result').$type<Record<string, unknown>>(),
    duration_ms: bigint('duration_ms', { mode: 'number' }),

    created_at: instant('created_at').notNull().default(now),
    /** Since when this attempt waits: its place in the queue. */
    queued_at: instant('queued_at').notNull().default(now),
    placed_at: instant('placed_at'),
    started_at: instant('started_at'),
    ended_at: instant('ended_at'),
  },
  t => [
    index('jobs_project').on(t.project_id, t.created_at, t.id),
    index('jobs_queued').on(t.queued_at).where(sql`${t.status} = 'queued' and ${t.cluster_id} is null`),
    index('jobs_holding')
      .on(t.project_id, t.cluster_id)
      .where(sql`${t.status} in ('queued', 'running') and ${t.cluster_id} is not null`),
    index('jobs_told').on(t.cluster_id, t.change_seq).where(sql`${t.desired} <> 'released'`),
    index('jobs_upload').on(t.upload_id).where(sql`${t.upload_id} is not null`),
    index('jobs_ended').on(t.ended_at).where(sql`${t.ended_at} is not null`),
    check('jobs_status', sql`${t.status} in ('queued', 'running', 'succeeded', 'failed', 'canceled')`),
    check('jobs_desired', sql`${t.desired} in ('running', 'canceled', 'finished', 'deleted', 'released')`),
    check('jobs_final', sql`(${t.ended_at} is not null) = (${t.status} in ('succeeded', 'failed', 'canceled'))`),
    check('jobs_running_somewhere', sql`${t.status} <> 'running' or ${t.cluster_id} is not null`),
  ],
)

/** Attempts that are over: what the job's row said of each before the next began. */
export const job_attempts = pgTable(
  'job_attempts',
  {
    job_id: text('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    attempt: integer('attempt').notNull(),
    cluster_id: text('cluster_id'),
    status: text('status').$type<JobStatus>().notNull(),
    status_reason: text('status_reason'),
    cause: text('cause').$type<JobCause>(),
    exit_code: integer('exit_code'),
    result: jsonb('result').$type<Record<string, unknown>>(),
    duration_ms: bigint('duration_ms', { mode: 'number' }),
    started_at: instant('started_at'),
    ended_at: instant('ended_at'),
  },
  t => [primaryKey({ columns: [t.job_id, t.attempt] })],
)

/** One stream of an attempt's output and how far it has been taken; its row is the lock of its writers. `stream`: `''` or `pod/container`. */
export const job_logs = pgTable(
  'job_logs',
  {
    job_id: text('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    attempt: integer('attempt').notNull(),
    stream: text('stream').notNull(),
    /** The next byte that is wanted; everything below is a chunk or a gap. */
    next: bigint('next', { mode: 'number' }).notNull().default(0),
    chunks: integer('chunks').notNull().default(0),
    /** Bytes in chunks now. */
    kept_bytes: bigint('kept_bytes', { mode: 'number' }).notNull().default(0),
    mark: text('mark'),
    complete: boolean('complete').notNull().default(false),
    updated_at: instant('updated_at').notNull().default(now),
  },
  t => [primaryKey({ columns: [t.job_id, t.attempt, t.stream] })],
)

/** Bytes as they came. A row without `data` is a gap: `length` bytes that are not kept (0: nobody knows how many). Rows join without a hole. */
export const job_log_chunks = pgTable(
  'job_log_chunks',
  {
    job_id: text('job_id')
      .notNull()
      .references(() => jobs.id, { onDelete: 'cascade' }),
    attempt: integer('attempt').notNull(),
    stream: text('stream').notNull(),
    /** Order within the stream. */
    seq: integer('seq').notNull(),
    offset: bigint('offset', { mode: 'number' }).notNull(),
    length: bigint('length', { mode: 'number' }).notNull(),
    data: bytes('data'),
  },
  t => [primaryKey({ columns: [t.job_id, t.attempt, t.stream, t.seq] })],
)
