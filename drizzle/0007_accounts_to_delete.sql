CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_deletion_due_at_idx" ON "users" USING btree ("deletion_due_at") WHERE "users"."deletion_due_at" is not null;
