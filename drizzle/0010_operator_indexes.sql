CREATE INDEX CONCURRENTLY IF NOT EXISTS "audit_events_actor_id_idx" ON "audit_events" USING btree ("actor_id","id");--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "audit_events_kind_idx" ON "audit_events" USING btree ("kind","id");--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_created_at_idx" ON "users" USING btree ("created_at","id");--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_email_prefix_idx" ON "users" USING btree ("email" text_pattern_ops);--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_display_name_prefix_idx" ON "users" USING btree (lower("display_name") text_pattern_ops,"id") WHERE "users"."display_name" is not null;--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_with_roles_idx" ON "users" USING btree ("created_at","id") WHERE "users"."roles" <> '{}';--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_banned_idx" ON "users" USING btree ("created_at","id") WHERE "users"."status" = 'banned';--> statement-breakpoint
CREATE INDEX CONCURRENTLY IF NOT EXISTS "users_banned_until_idx" ON "users" USING btree ("banned_until") WHERE "users"."banned_until" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "users_external_id_key" ON "users" USING btree ("external_id") WHERE "users"."external_id" is not null;