import type { Transaction } from '../db/database.ts';
import { eq, sql } from '../db/drizzle.ts';
import { users } from '../db/schema.ts';
import { userColumns } from './account-store.ts';
import type { Profile } from './profile-rules.ts';
import type { User } from './user.ts';

export type ProfileStore = ReturnType<typeof createProfileStore>;

/** What users see and change of their row in `users`. */
export function createProfileStore() {
  return {
    /** The user as they are until the transaction ends: nobody else changes or deletes them meanwhile. */
    async lock({ database }: Transaction, id: string): Promise<User | null> {
      const [row] = await database
        .select(userColumns)
        .from(users)
        .where(eq(users.id, id))
        .for('no key update');
      return row ?? null;
    },

    /** Stores the profile of a user who is locked. */
    async save({ database }: Transaction, id: string, profile: Profile): Promise<void> {
      await database
        .update(users)
        .set({ ...profile, updatedAt: sql`now()` })
        .where(eq(users.id, id));
    },
  };
}
