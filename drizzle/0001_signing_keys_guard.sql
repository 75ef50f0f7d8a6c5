-- A signing key may go only when no token that it signed can live any more. What is not yet retired has no
-- delete_after, and a revoked key stays as a record: neither can be deleted at all.
CREATE FUNCTION "signing_keys_refuse_delete"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD."revoked_at" IS NULL AND OLD."delete_after" <= now() THEN
		RETURN OLD;
	END IF;
	RAISE EXCEPTION 'signing key % must not be deleted: tokens that it signed may still live', OLD."kid"
		USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "signing_keys_refuse_delete" BEFORE DELETE ON "signing_keys"
	FOR EACH ROW EXECUTE FUNCTION "signing_keys_refuse_delete"();
