CREATE TABLE "terminals" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"token_id" text,
	"cluster_id" text NOT NULL,
	"session_id" text,
	"job_id" text,
	"pod" text,
	"container" text,
	"shell" text,
	"cols" integer NOT NULL,
	"rows" integer NOT NULL,
	"idle_timeout_seconds" integer NOT NULL,
	"status" text DEFAULT 'created' NOT NULL,
	"exit_code" integer,
	"cause" text,
	"reason" text,
	"change_seq" bigint DEFAULT 0 NOT NULL,
	"last_activity_at" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	"deleted_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "terminals_target" CHECK (num_nonnulls("terminals"."session_id", "terminals"."job_id") = 1),
	CONSTRAINT "terminals_status" CHECK ("terminals"."status" in ('created', 'running', 'ended')),
	CONSTRAINT "terminals_ended" CHECK (("terminals"."ended_at" is not null) = ("terminals"."status" = 'ended'))
);
--> statement-breakpoint
ALTER TABLE "tickets" ALTER COLUMN "session_id" DROP NOT NULL;--> statement-breakpoint
ALTER TABLE "grants" ADD COLUMN "terminal_id" text;--> statement-breakpoint
ALTER TABLE "tickets" ADD COLUMN "terminal_id" text;--> statement-breakpoint
ALTER TABLE "terminals" ADD CONSTRAINT "terminals_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "terminals" ADD CONSTRAINT "terminals_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "terminals" ADD CONSTRAINT "terminals_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "terminals" ADD CONSTRAINT "terminals_session_id_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "terminals" ADD CONSTRAINT "terminals_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "terminals_project" ON "terminals" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "terminals_session" ON "terminals" USING btree ("session_id");--> statement-breakpoint
CREATE INDEX "terminals_job" ON "terminals" USING btree ("job_id");--> statement-breakpoint
CREATE INDEX "terminals_open" ON "terminals" USING btree ("cluster_id") WHERE "terminals"."status" <> 'ended';--> statement-breakpoint
CREATE INDEX "terminals_cluster_change" ON "terminals" USING btree ("cluster_id","change_seq");--> statement-breakpoint
ALTER TABLE "tickets" ADD CONSTRAINT "tickets_terminal_id_terminals_id_fk" FOREIGN KEY ("terminal_id") REFERENCES "public"."terminals"("id") ON DELETE cascade ON UPDATE no action;