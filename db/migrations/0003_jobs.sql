CREATE TABLE "job_attempts" (
	"job_id" text NOT NULL,
	"attempt" integer NOT NULL,
	"cluster_id" text,
	"status" text NOT NULL,
	"status_reason" text,
	"cause" text,
	"exit_code" integer,
	"result" jsonb,
	"duration_ms" bigint,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "job_attempts_job_id_attempt_pk" PRIMARY KEY("job_id","attempt")
);
--> statement-breakpoint
CREATE TABLE "job_log_chunks" (
	"job_id" text NOT NULL,
	"attempt" integer NOT NULL,
	"stream" text NOT NULL,
	"seq" integer NOT NULL,
	"offset" bigint NOT NULL,
	"length" bigint NOT NULL,
	"data" "bytea",
	CONSTRAINT "job_log_chunks_job_id_attempt_stream_seq_pk" PRIMARY KEY("job_id","attempt","stream","seq")
);
--> statement-breakpoint
CREATE TABLE "job_logs" (
	"job_id" text NOT NULL,
	"attempt" integer NOT NULL,
	"stream" text NOT NULL,
	"next" bigint DEFAULT 0 NOT NULL,
	"chunks" integer DEFAULT 0 NOT NULL,
	"kept_bytes" bigint DEFAULT 0 NOT NULL,
	"mark" text,
	"complete" boolean DEFAULT false NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "job_logs_job_id_attempt_stream_pk" PRIMARY KEY("job_id","attempt","stream")
);
--> statement-breakpoint
CREATE TABLE "jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"created_by" text NOT NULL,
	"name" text,
	"type" text NOT NULL,
	"spec" jsonb NOT NULL,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"resources_given" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"cpu_millis" integer DEFAULT 0 NOT NULL,
	"memory_bytes" bigint DEFAULT 0 NOT NULL,
	"placement" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"priority" integer DEFAULT 0 NOT NULL,
	"timeout_seconds" integer NOT NULL,
	"grace_seconds" integer NOT NULL,
	"max_attempts" integer DEFAULT 1 NOT NULL,
	"cluster_id" text,
	"attempt" integer DEFAULT 1 NOT NULL,
	"desired" text DEFAULT 'running' NOT NULL,
	"cancel_cause" text,
	"change_seq" bigint DEFAULT 0 NOT NULL,
	"seen" boolean DEFAULT false NOT NULL,
	"status" text DEFAULT 'queued' NOT NULL,
	"status_reason" text,
	"cause" text,
	"exit_code" integer,
	"progress" jsonb,
	"resources" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"result" jsonb,
	"duration_ms" bigint,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"queued_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"placed_at" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "jobs_status" CHECK ("jobs"."status" in ('queued', 'running', 'succeeded', 'failed', 'canceled')),
	CONSTRAINT "jobs_desired" CHECK ("jobs"."desired" in ('running', 'canceled', 'finished', 'deleted', 'released')),
	CONSTRAINT "jobs_final" CHECK (("jobs"."ended_at" is not null) = ("jobs"."status" in ('succeeded', 'failed', 'canceled'))),
	CONSTRAINT "jobs_running_somewhere" CHECK ("jobs"."status" <> 'running' or "jobs"."cluster_id" is not null)
);
--> statement-breakpoint
CREATE TABLE "secrets" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"name" text NOT NULL,
	"sealed" text NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "job_attempts" ADD CONSTRAINT "job_attempts_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "job_log_chunks" ADD CONSTRAINT "job_log_chunks_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "job_logs" ADD CONSTRAINT "job_logs_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "jobs_project" ON "jobs" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "jobs_queued" ON "jobs" USING btree ("queued_at") WHERE "jobs"."status" = 'queued' and "jobs"."cluster_id" is null;--> statement-breakpoint
CREATE INDEX "jobs_holding" ON "jobs" USING btree ("project_id","cluster_id") WHERE "jobs"."status" in ('queued', 'running') and "jobs"."cluster_id" is not null;--> statement-breakpoint
CREATE INDEX "jobs_told" ON "jobs" USING btree ("cluster_id","change_seq") WHERE "jobs"."desired" <> 'released';--> statement-breakpoint
CREATE INDEX "jobs_ended" ON "jobs" USING btree ("ended_at") WHERE "jobs"."ended_at" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "secrets_name" ON "secrets" USING btree ("project_id","name");