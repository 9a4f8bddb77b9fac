CREATE TABLE "audit_chain" (
	"project_id" text NOT NULL,
	"place" bigint NOT NULL,
	"audit_id" text NOT NULL,
	"hash" "bytea" NOT NULL,
	CONSTRAINT "audit_chain_project_id_place_pk" PRIMARY KEY("project_id","place")
);
--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "seq" bigserial NOT NULL;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "tx" "xid8" DEFAULT pg_current_xact_id() NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_chain_record" ON "audit_chain" USING btree ("audit_id");--> statement-breakpoint
CREATE INDEX "audit_order" ON "audit" USING btree ("tx","seq");--> statement-breakpoint
CREATE FUNCTION "audit_is_kept"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' AND current_setting('porthole.audit_retention', true) = 'on' THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'the audit is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "audit_kept" BEFORE UPDATE OR DELETE ON "audit" FOR EACH ROW EXECUTE FUNCTION "audit_is_kept"();--> statement-breakpoint
CREATE TRIGGER "audit_kept_whole" BEFORE TRUNCATE ON "audit" FOR EACH STATEMENT EXECUTE FUNCTION "audit_is_kept"();
