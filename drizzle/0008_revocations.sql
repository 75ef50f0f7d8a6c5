CREATE TABLE "revocations" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "revocations_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"seq" bigint,
	"kind" text NOT NULL,
	"subject" "bytea" NOT NULL,
	"value" bigint,
	"revoked_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "revocations_seq_key" UNIQUE("seq")
);
--> statement-breakpoint
CREATE INDEX "revocations_unnumbered_idx" ON "revocations" USING btree ("id") WHERE "revocations"."seq" is null;--> statement-breakpoint
CREATE INDEX "revocations_revoked_at_idx" ON "revocations" USING btree ("revoked_at");--> statement-breakpoint
-- Numbers rows that are committed and have no place in the feed yet, at most that many, and says how many there were. The
-- lock (7236455029, numberRevocations in src/db/locks.ts) is kept until the commit, so these transactions follow one
-- another, and whoever sees a place sees all places below it. One call does all: no client can be paused in the middle.
-- It must stay VOLATILE: only then does the UPDATE see what was committed while the lock was waited for.
-- "began_at" is from before the UPDATE: all that was committed until then, and is not left over, has a place.
CREATE FUNCTION "number_revocations"("most" integer, OUT "numbered" integer, OUT "began_at" timestamp with time zone)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(7236455029);
	"began_at" := clock_timestamp();
	UPDATE "revocations" AS r SET
		"seq" = "last"."seq" + "next"."place",
		-- So that a row stays for the whole window after it got its place, also if its commit took long.
		"revoked_at" = greatest(r."revoked_at", "began_at"),
		-- Tokens that the client got until its change was committed are void too.
		"value" = CASE WHEN r."kind" = 'client' THEN ceil(extract(epoch FROM "began_at"))::bigint ELSE r."value" END
	FROM (SELECT coalesce(max("seq"), 0) AS "seq" FROM "revocations") AS "last",
		(SELECT "id", row_number() OVER (ORDER BY "id") AS "place" FROM
			(SELECT "id" FROM "revocations" WHERE "seq" IS NULL ORDER BY "id" LIMIT "most") AS "waiting") AS "next"
	WHERE r."id" = "next"."id";
	GET DIAGNOSTICS "numbered" = ROW_COUNT;
END
$$;
