/** Registries that builds push to, and webhooks that begin builds. Part of schema.ts, which says what holds for all tables. */
import { boolean, index, jsonb, pgTable, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core'
import { digest, instant, now } from './columns.ts'
import { projects, tokens } from './schema.ts'

/** The password is sealed with a key that is not in the database (api/sealing.ts); never answered. */
export const registries = pgTable(
  'registries',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    /** `registry.example.com` or `registry.example.com:5000`: what image names begin with. */
    host: text('host').notNull(),
    username: text('username').notNull(),
    sealed: text('sealed').notNull(),
    /** Spoken to without TLS. */
    insecure: boolean('insecure').notNull().default(false),
    created_by: text('created_by').notNull(),
    created_at: instant('created_at').notNull().default(now),
    updated_at: instant('updated_at').notNull().default(now),
  },
  t => [uniqueIndex('registries_host').on(t.project_id, t.host)],
)

/** Pushes to a git repository that begin a build. Acts with the token that made it: when that ends, so does the hook. */
export const webhooks = pgTable(
  'webhooks',
  {
    id: text('id').primaryKey(),
    project_id: text('project_id')
      .notNull()
      .references(() => projects.id, { onDelete: 'cascade' }),
    token_id: text('token_id')
      .notNull()
      .references(() => tokens.id, { onDelete: 'cascade' }),
    user_id: text('user_id').notNull(),
    name: text('name'),
    provider: text('provider').$type<'github' | 'gitlab'>().notNull(),
    sealed: text('sealed').notNull(),
    branches: text('branches').notNull(),
    /** Switched off, what is pushed is answered and begins nothing. */
    enabled: boolean('enabled').notNull().default(true),
    /** Body of the build, as for POST /v1/jobs; its ref is the pushed commit. */
    build: jsonb('build').$type<Record<string, unknown>>().notNull(),
    /** Body of the deploy that follows a build that succeeded; `{image}` is what was built. */
    deploy: jsonb('deploy').$type<Record<string, unknown>>(),
    created_at: instant('created_at').notNull().default(now),
    last_delivery_at: instant('last_delivery_at'),
  },
  t => [index('webhooks_project').on(t.project_id, t.created_at)],
)

/** What came, once each: by the sender's id and, as that id is not signed, by the body itself. */
export const deliveries = pgTable(
  'deliveries',
  {
    webhook_id: text('webhook_id')
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    delivery: text('delivery').notNull(),
    body_hash: digest('body_hash').notNull(),
    job_id: text('job_id'),
    /** A deploy waits for this build. */
    deploys: boolean('deploys').notNull().default(false),
    deploy_job_id: text('deploy_job_id'),
    created_at: instant('created_at').notNull().default(now),
  },
  t => [
    primaryKey({ columns: [t.webhook_id, t.delivery] }),
    uniqueIndex('deliveries_body').on(t.webhook_id, t.body_hash),
    index('deliveries_waiting').on(t.job_id, t.deploys),
    index('deliveries_age').on(t.created_at),
  ],
)
