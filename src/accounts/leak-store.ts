import type { Transaction } from '../db/database.ts';
import { and, eq, isNull, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';

/** Whose password it was, and which one of theirs. */
export type PasswordOwner = { id: string; credentialsVersion: number };

export type LeakStore = ReturnType<typeof createLeakStore>;

/** Which passwords were found leaked. */
export function createLeakStore() {
  return {
    /** @returns false when that was known before, or the password was changed in the meantime */
    async mark({ database }: Transaction, { id, credentialsVersion }: PasswordOwner): Promise<boolean> {
      const marked = await database
        .update(users)
        .set({ passwordBreachedAt: sql`now()` })
        .where(
          and(
            eq(users.id, id),
            eq(users.credentialsVersion, credentialsVersion),
            isNull(users.passwordBreachedAt),
          ),
        )
        .returning({ id: users.id });
      return marked.length > 0;
    },
  };
}
