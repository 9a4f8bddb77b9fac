-- Not in schema.ts: drizzle cannot say UNLOGGED. Losing it in a crash gives everybody one free burst.
CREATE UNLOGGED TABLE "rate_limits" (
	"key" text PRIMARY KEY NOT NULL,
	"tat" timestamp with time zone NOT NULL
) WITH (fillfactor = 50);
