import type { Database, Transaction } from '../db/database.ts';
import { asc, eq, inArray, sql } from '../db/drizzle.ts';
import { waitForLock } from '../db/locks.ts';
import { roles } from '../db/schema.ts';
import { MOST_ROLES, type Role } from './role-rules.ts';

export type RolesStore = ReturnType<typeof createRolesStore>;

const roleColumns = { name: roles.name, scopes: roles.scopes, description: roles.description };

/** The table `roles`. */
export function createRolesStore(database: Database) {
  return {
    /** All roles, by name. */
    list(): Promise<Role[]> {
      return database.select(roleColumns).from(roles).orderBy(asc(roles.name)).limit(MOST_ROLES);
    },

    /** Until the transaction ends, no other one changes or removes roles, or takes the last admin away. */
    lock: (transaction: Transaction): Promise<void> => waitForLock(transaction, 'changeRoles'),

    async find({ database }: Transaction, name: string): Promise<Role | null> {
      const [role] = await database.select(roleColumns).from(roles).where(eq(roles.name, name));
      return role ?? null;
    },

    async count({ database }: Transaction): Promise<number> {
      const [row] = await database.select({ count: sql`count(*)`.mapWith(Number) }).from(roles);
      return Number(row?.count);
    },

    /** Those of the names that are roles. Until the transaction ends, they stay as they are. */
    async hold({ database }: Transaction, names: string[]): Promise<Role[]> {
      return database.select(roleColumns).from(roles).where(inArray(roles.name, names)).for('share');
    },

    async save({ database }: Transaction, { name, ...role }: Role): Promise<void> {
      await database
        .insert(roles)
        .values({ name, ...role })
        .onConflictDoUpdate({ target: roles.name, set: { ...role, updatedAt: sql`now()` } });
    },

    async remove({ database }: Transaction, name: string): Promise<void> {
      await database.delete(roles).where(eq(roles.name, name));
    },
  };
}
