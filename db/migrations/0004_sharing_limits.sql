ALTER TABLE "grants" ADD COLUMN "bytes_in" bigint;--> statement-breakpoint
ALTER TABLE "grants" ADD COLUMN "bytes_out" bigint;--> statement-breakpoint
ALTER TABLE "tickets" ADD COLUMN "stream_id" text;--> statement-breakpoint
ALTER TABLE "tokens" ADD COLUMN "allowed_cidrs" text[];--> statement-breakpoint
ALTER TABLE "tokens" ADD COLUMN "limits" jsonb DEFAULT '{}'::jsonb NOT NULL;