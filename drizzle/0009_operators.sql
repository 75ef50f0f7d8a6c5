CREATE TABLE "imported_hashes" (
	"strength" text PRIMARY KEY NOT NULL,
	"sealed_key" "bytea",
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "roles" (
	"name" text PRIMARY KEY NOT NULL,
	"scopes" text[] NOT NULL,
	"description" text DEFAULT '' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit_events" ADD COLUMN "actor_kind" text;--> statement-breakpoint
ALTER TABLE "audit_events" ADD COLUMN "request_id" text;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "banned_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "banned_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "ban_reason" text;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "roles" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "external_id" text;--> statement-breakpoint
-- The only role that exists from the start. It is given to users on the machine alone.
INSERT INTO "roles" ("name", "scopes", "description") VALUES ('admin',
	'{admin:audit,admin:clients,admin:keys,admin:sessions,admin:users:read,admin:users:write}',
	'May do everything under /admin');
--> statement-breakpoint
-- What happened stays as it was. Only who can be known by it may be taken away, when the account is deleted, and an event
-- may be deleted when it is old.
CREATE OR REPLACE FUNCTION "audit_events_refuse_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' AND OLD."happened_at" < now() - interval '30 days' THEN
		RETURN OLD;
	END IF;
	IF TG_OP = 'UPDATE'
		AND (NEW."ip" IS NULL OR NEW."ip" IS NOT DISTINCT FROM OLD."ip")
		AND (NEW."user_agent" IS NULL OR NEW."user_agent" IS NOT DISTINCT FROM OLD."user_agent")
		AND (NEW."details" IS NULL OR NEW."details" IS NOT DISTINCT FROM OLD."details")
		AND (NEW."id", NEW."kind", NEW."happened_at", NEW."user_id", NEW."actor_id", NEW."actor_kind", NEW."session_id",
			NEW."request_id")
		IS NOT DISTINCT FROM (OLD."id", OLD."kind", OLD."happened_at", OLD."user_id", OLD."actor_id", OLD."actor_kind",
			OLD."session_id", OLD."request_id") THEN
		RETURN NEW;
	END IF;
	RAISE EXCEPTION 'audit event % must not be changed or deleted', OLD."id"
		USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
-- The two functions below do for the role that runs the server what that role may not do itself: it can read the events
-- and add to them. They run with the rights of their owner, so the path by which they find tables is fixed: the schema of
-- the migrations, and a temporary table of the caller comes last.
-- Takes away what is personal in the events of an account that has just been deleted.
CREATE FUNCTION "forget_audit_events"("gone" uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
	PERFORM set_config('search_path', current_setting('search_path') || ', pg_temp', true);
	IF EXISTS (SELECT FROM "users" WHERE "id" = "gone") THEN
		RAISE EXCEPTION 'the account % exists: its audit events must not be changed', "gone"
			USING ERRCODE = 'restrict_violation';
	END IF;
	UPDATE "audit_events" SET "ip" = NULL, "user_agent" = NULL, "details" = NULL WHERE "user_id" = "gone";
	-- What they did to others stays, such as a ban by an operator.
	UPDATE "audit_events" SET "ip" = NULL, "user_agent" = NULL WHERE "actor_id" = "gone"::text;
END
$$;
--> statement-breakpoint
-- Deletes at most that many of the oldest events, if they are older than that, and than 30 days. @returns how many
CREATE FUNCTION "sweep_audit_events"("kept" interval, "most" integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE "deleted" integer;
BEGIN
	PERFORM set_config('search_path', current_setting('search_path') || ', pg_temp', true);
	-- The ids grow with time, so the oldest are found by the primary key.
	DELETE FROM "audit_events" USING (SELECT "id" FROM "audit_events" ORDER BY "id" LIMIT "most") AS "oldest"
	WHERE "audit_events"."id" = "oldest"."id"
		AND "audit_events"."happened_at" < now() - greatest("kept", interval '30 days');
	GET DIAGNOSTICS "deleted" = ROW_COUNT;
	RETURN "deleted";
END
$$;
