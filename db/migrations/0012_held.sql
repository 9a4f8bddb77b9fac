CREATE INDEX "sessions_held" ON "sessions" USING btree ("cluster_id") WHERE "sessions"."status" in ('starting', 'running', 'stopping');--> statement-breakpoint
-- How many the last statement admitted: requests that meet take together.
ALTER TABLE "rate_limits" ADD COLUMN "taken" integer DEFAULT 1 NOT NULL;