DROP INDEX "audit_project";--> statement-breakpoint
DROP INDEX "sessions_project";--> statement-breakpoint
DROP INDEX "volumes_project";--> statement-breakpoint
DROP INDEX "jobs_project";--> statement-breakpoint
DROP INDEX "pools_project";--> statement-breakpoint
DROP INDEX "terminals_project";--> statement-breakpoint
CREATE INDEX "sessions_created" ON "sessions" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX "audit_project" ON "audit" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "sessions_project" ON "sessions" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "volumes_project" ON "volumes" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "jobs_project" ON "jobs" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "pools_project" ON "pools" USING btree ("project_id","created_at","id");--> statement-breakpoint
CREATE INDEX "terminals_project" ON "terminals" USING btree ("project_id","created_at","id");