CREATE TABLE "pools" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text,
	"cluster_id" text NOT NULL,
	"template_id" text NOT NULL,
	"overrides" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"size" integer NOT NULL,
	"idle_size" integer NOT NULL,
	"idle_after_seconds" integer NOT NULL,
	"max_age_seconds" integer NOT NULL,
	"fit" text,
	"failures" integer DEFAULT 0 NOT NULL,
	"retry_at" timestamp (3) with time zone,
	"status_reason" text,
	"last_asked_at" timestamp (3) with time zone,
	"hits" bigint DEFAULT 0 NOT NULL,
	"misses" bigint DEFAULT 0 NOT NULL,
	"refills" bigint DEFAULT 0 NOT NULL,
	"refill_ms" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "pools_size" CHECK ("pools"."size" between 0 and 1000 and "pools"."idle_size" between 0 and "pools"."size")
);
--> statement-breakpoint
CREATE TABLE "warm_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"pool_id" text,
	"cluster_id" text NOT NULL,
	"spec" jsonb NOT NULL,
	"fit" text NOT NULL,
	"desired" text DEFAULT 'running' NOT NULL,
	"change_seq" bigint DEFAULT 0 NOT NULL,
	"status" text DEFAULT 'starting' NOT NULL,
	"ready_epoch" bigint,
	"display" jsonb,
	"versions" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"notes" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"pod" jsonb,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"ready_at" timestamp (3) with time zone,
	CONSTRAINT "warm_sessions_status" CHECK ("warm_sessions"."status" in ('starting', 'ready', 'ended')),
	CONSTRAINT "warm_sessions_desired" CHECK ("warm_sessions"."desired" in ('running', 'deleted'))
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "pool_id" text;--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "settling" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "pools" ADD CONSTRAINT "pools_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "pools" ADD CONSTRAINT "pools_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "warm_sessions" ADD CONSTRAINT "warm_sessions_pool_id_pools_id_fk" FOREIGN KEY ("pool_id") REFERENCES "public"."pools"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "warm_sessions" ADD CONSTRAINT "warm_sessions_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "pools_project" ON "pools" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "pools_cluster" ON "pools" USING btree ("cluster_id");--> statement-breakpoint
CREATE INDEX "warm_sessions_cluster_change" ON "warm_sessions" USING btree ("cluster_id","change_seq");--> statement-breakpoint
CREATE INDEX "warm_sessions_pool" ON "warm_sessions" USING btree ("pool_id");--> statement-breakpoint
CREATE INDEX "warm_sessions_ready" ON "warm_sessions" USING btree ("fit") WHERE "warm_sessions"."status" = 'ready' and "warm_sessions"."desired" = 'running';