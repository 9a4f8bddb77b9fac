CREATE TABLE "audit" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text,
	"actor_kind" text NOT NULL,
	"actor" text NOT NULL,
	"token_id" text,
	"action" text NOT NULL,
	"target" text NOT NULL,
	"outcome" text NOT NULL,
	"address" text,
	"request_id" text,
	"detail" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "clusters" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text,
	"name" text NOT NULL,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"seq" bigint DEFAULT 0 NOT NULL,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"link_replica_id" text,
	"link_since" timestamp (3) with time zone,
	"link_seen_at" timestamp (3) with time zone,
	"report_seq" bigint DEFAULT 0 NOT NULL,
	"agent_id" text,
	"agent_public_key" jsonb,
	"agent_version" text,
	"capabilities" jsonb,
	"load" jsonb,
	"scheduling" text DEFAULT 'open' NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "clusters_scheduling" CHECK ("clusters"."scheduling" in ('open', 'cordoned', 'draining'))
);
--> statement-breakpoint
CREATE TABLE "enrollments" (
	"hash" "bytea" PRIMARY KEY NOT NULL,
	"cluster_id" text NOT NULL,
	"created_by" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"seq" bigserial PRIMARY KEY NOT NULL,
	"tx" "xid8" DEFAULT pg_current_xact_id() NOT NULL,
	"id" text NOT NULL,
	"project_id" text,
	"session_id" text,
	"type" text NOT NULL,
	"data" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "grants" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"session_id" text NOT NULL,
	"cluster_id" text NOT NULL,
	"token_id" text,
	"user_id" text NOT NULL,
	"link_id" text,
	"kind" text NOT NULL,
	"role" text NOT NULL,
	"replica_id" text NOT NULL,
	"key_hash" "bytea" NOT NULL,
	"address" text,
	"joined_at" timestamp (3) with time zone,
	"closed_at" timestamp (3) with time zone,
	"close_code" integer,
	"opened_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"project_id" text NOT NULL,
	"route" text NOT NULL,
	"key" text NOT NULL,
	"request_hash" "bytea" NOT NULL,
	"status" integer,
	"body" jsonb,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "idempotency_keys_project_id_route_key_pk" PRIMARY KEY("project_id","route","key")
);
--> statement-breakpoint
CREATE TABLE "projects" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"quotas" jsonb NOT NULL,
	"suspended_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "replicas" (
	"id" text PRIMARY KEY NOT NULL,
	"url" text,
	"seen_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"started_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"created_by" text NOT NULL,
	"name" text,
	"template_id" text NOT NULL,
	"cluster_id" text,
	"placement" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"spec" jsonb NOT NULL,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"resources" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"cpu_millis" integer DEFAULT 0 NOT NULL,
	"memory_bytes" bigint DEFAULT 0 NOT NULL,
	"storage_bytes" bigint DEFAULT 0 NOT NULL,
	"desired" text DEFAULT 'running' NOT NULL,
	"generation" integer DEFAULT 1 NOT NULL,
	"change_seq" bigint DEFAULT 0 NOT NULL,
	"ttl_seconds" integer,
	"idle_timeout_seconds" integer,
	"touches" integer DEFAULT 0 NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"ending_reason" text,
	"status" text NOT NULL,
	"status_reason" text,
	"termination_reason" text,
	"phases" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"display" jsonb,
	"versions" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"notes" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"pod" jsonb,
	"observed_generation" integer DEFAULT 0 NOT NULL,
	"last_activity_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "sessions_status" CHECK ("sessions"."status" in ('queued', 'starting', 'running', 'stopping', 'stopped', 'failed', 'expired')),
	CONSTRAINT "sessions_desired" CHECK ("sessions"."desired" in ('running', 'stopped', 'deleted')),
	CONSTRAINT "sessions_final" CHECK (("sessions"."ended_at" is not null) = ("sessions"."status" in ('stopped', 'failed', 'expired'))),
	CONSTRAINT "sessions_placed" CHECK ("sessions"."cluster_id" is not null or "sessions"."status" in ('queued', 'stopped', 'failed', 'expired'))
);
--> statement-breakpoint
CREATE TABLE "settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"internal" boolean DEFAULT true NOT NULL
);
--> statement-breakpoint
CREATE TABLE "templates" (
	"id" text NOT NULL,
	"project_id" text,
	"name" text NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"body" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tickets" (
	"hash" "bytea" PRIMARY KEY NOT NULL,
	"session_id" text NOT NULL,
	"project_id" text NOT NULL,
	"token_id" text,
	"user_id" text NOT NULL,
	"link_id" text,
	"stream" text NOT NULL,
	"role" text NOT NULL,
	"port" integer,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	"hash" "bytea" NOT NULL,
	"last4" text NOT NULL,
	"scopes" text[] NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"created_by" text,
	"rotated_from" text,
	"grace_until" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	"last_used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "web_sessions" (
	"hash" "bytea" PRIMARY KEY NOT NULL,
	"token_id" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"idle_expires_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "clusters" ADD CONSTRAINT "clusters_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "templates" ADD CONSTRAINT "templates_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_session_id_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tokens" ADD CONSTRAINT "tokens_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tokens" ADD CONSTRAINT "tokens_rotated_from_tokens_id_fk" FOREIGN KEY ("rotated_from") REFERENCES "public"."tokens"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "web_sessions" ADD CONSTRAINT "web_sessions_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_project" ON "audit" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "audit_age" ON "audit" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "clusters_name" ON "clusters" USING btree (coalesce("project_id", ''),"name");--> statement-breakpoint
CREATE UNIQUE INDEX "clusters_agent" ON "clusters" USING btree ("agent_id");--> statement-breakpoint
CREATE UNIQUE INDEX "events_id" ON "events" USING btree ("id");--> statement-breakpoint
CREATE INDEX "events_order" ON "events" USING btree ("tx","seq");--> statement-breakpoint
CREATE INDEX "events_session" ON "events" USING btree ("session_id","seq");--> statement-breakpoint
CREATE INDEX "events_age" ON "events" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "grants_session_open" ON "grants" USING btree ("session_id") WHERE "grants"."closed_at" is null;--> statement-breakpoint
CREATE INDEX "grants_replica_open" ON "grants" USING btree ("replica_id") WHERE "grants"."closed_at" is null;--> statement-breakpoint
CREATE INDEX "grants_age" ON "grants" USING btree ("opened_at");--> statement-breakpoint
CREATE INDEX "idempotency_age" ON "idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "sessions_project" ON "sessions" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "sessions_active" ON "sessions" USING btree ("project_id") WHERE "sessions"."status" in ('queued', 'starting', 'running', 'stopping');--> statement-breakpoint
CREATE INDEX "sessions_queued" ON "sessions" USING btree ("created_at") WHERE "sessions"."status" = 'queued';--> statement-breakpoint
CREATE INDEX "sessions_cluster_change" ON "sessions" USING btree ("cluster_id","change_seq");--> statement-breakpoint
CREATE INDEX "sessions_expiring" ON "sessions" USING btree ("expires_at") WHERE "sessions"."status" in ('queued', 'starting', 'running');--> statement-breakpoint
CREATE UNIQUE INDEX "sessions_live_name" ON "sessions" USING btree ("project_id","user_id","name") WHERE "sessions"."name" is not null and "sessions"."desired" <> 'deleted' and "sessions"."status" in ('queued', 'starting', 'running', 'stopping');--> statement-breakpoint
CREATE UNIQUE INDEX "templates_id" ON "templates" USING btree (coalesce("project_id", ''),"id");--> statement-breakpoint
CREATE INDEX "tickets_expiry" ON "tickets" USING btree ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "tokens_hash" ON "tokens" USING btree ("hash");--> statement-breakpoint
CREATE INDEX "tokens_project" ON "tokens" USING btree ("project_id","created_at");--> statement-breakpoint
CREATE INDEX "web_sessions_token" ON "web_sessions" USING btree ("token_id");