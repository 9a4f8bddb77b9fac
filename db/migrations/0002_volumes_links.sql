CREATE TABLE "links" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"session_id" text NOT NULL,
	"token_id" text,
	"user_id" text NOT NULL,
	"hash" "bytea" NOT NULL,
	"role" text NOT NULL,
	"max_viewers" integer,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "volumes" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	"cluster_id" text,
	"size_bytes" bigint,
	"desired" text DEFAULT 'present' NOT NULL,
	"change_seq" bigint DEFAULT 0 NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "volume_id" text;--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "control" text DEFAULT 'shared' NOT NULL;--> statement-breakpoint
ALTER TABLE "sessions" ADD COLUMN "control_holder" text;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_session_id_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "links" ADD CONSTRAINT "links_token_id_tokens_id_fk" FOREIGN KEY ("token_id") REFERENCES "public"."tokens"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "volumes" ADD CONSTRAINT "volumes_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "volumes" ADD CONSTRAINT "volumes_cluster_id_clusters_id_fk" FOREIGN KEY ("cluster_id") REFERENCES "public"."clusters"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "links_hash" ON "links" USING btree ("hash");--> statement-breakpoint
CREATE INDEX "links_session" ON "links" USING btree ("session_id","created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "volumes_name" ON "volumes" USING btree ("project_id","user_id","name") WHERE "volumes"."desired" = 'present';--> statement-breakpoint
CREATE INDEX "volumes_project" ON "volumes" USING btree ("project_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "volumes_cluster_change" ON "volumes" USING btree ("cluster_id","change_seq");--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_volume_id_volumes_id_fk" FOREIGN KEY ("volume_id") REFERENCES "public"."volumes"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "sessions_volume_writer" ON "sessions" USING btree ("volume_id") WHERE "sessions"."volume_id" is not null and "sessions"."status" in ('queued', 'starting', 'running', 'stopping');