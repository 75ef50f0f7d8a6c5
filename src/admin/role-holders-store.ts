import type { SQL } from 'drizzle-orm';
import type { UserName } from '../accounts/user-name.ts';
import type { Transaction } from '../db/database.ts';
import { and, asc, eq, inArray, isNull, ne, sql } from '../db/drizzle.ts';
import { instantOfMicros, microsOf } from '../db/micros.ts';
import { users } from '../db/schema.ts';
import { isActiveUser } from '../db/user-status.ts';
import { ADMIN_ROLE } from './role-rules.ts';

/** A user, their canonical address, and the names of their roles, in order. */
export type RoleHolder = { id: string; email: string; roles: string[] };

/** Behind whom the list of a role's holders goes on. */
export type HolderPlace = {
  /** When the account was made, in microseconds since the epoch: a Date does not hold them. */
  micros: string;
  id: string;
};

export type RoleHoldersStore = ReturnType<typeof createRoleHoldersStore>;

const holderColumns = { id: users.id, email: users.email, roles: users.roles };
const micros = microsOf(users.createdAt);

/** By the index of the users with roles. */
function holds(role: string): SQL | undefined {
  return and(sql`${users.roles} <> '{}'`, sql`${role} = any(${users.roles})`);
}

function isAfter({ micros, id }: HolderPlace): SQL {
  return sql`(${users.createdAt}, ${users.id}) > (${instantOfMicros(micros)}, ${id}::uuid)`;
}

/** Condition: the user may do everything under `/admin`, and will be there tomorrow. */
function isActiveAdmin(): SQL | undefined {
  return and(holds(ADMIN_ROLE), isActiveUser(), isNull(users.deletionDueAt));
}

/** Who has which roles: `users.roles`. */
export function createRoleHoldersStore() {
  return {
    /** The user as they are until the transaction ends; null if there is none. */
    async lock({ database }: Transaction, name: UserName): Promise<RoleHolder | null> {
      const [user] = await database
        .select(holderColumns)
        .from(users)
        .where('id' in name ? eq(users.id, name.id) : eq(users.email, name.email))
        .for('no key update');
      return user ?? null;
    },

    async save({ database }: Transaction, userId: string, roles: string[]): Promise<void> {
      await database.update(users).set({ roles, updatedAt: sql`now()` }).where(eq(users.id, userId));
    },

    async isActiveAdmin({ database }: Transaction, userId: string): Promise<boolean> {
      const found = await database
        .select({ id: users.id })
        .from(users)
        .where(and(eq(users.id, userId), isActiveAdmin()));
      return found.length > 0;
    },

    async hasOtherAdmin({ database }: Transaction, userId: string): Promise<boolean> {
      const found = await database
        .select({ id: users.id })
        .from(users)
        .where(and(ne(users.id, userId), isActiveAdmin()))
        .limit(1);
      return found.length > 0;
    },

    /** Some holders of a role in the order of their accounts, as they are until the transaction ends. */
    async lockHolders(
      { database }: Transaction,
      role: string,
      { after, limit }: { after: HolderPlace | null; limit: number },
    ): Promise<(RoleHolder & HolderPlace)[]> {
      return database
        .select({ ...holderColumns, micros })
        .from(users)
        .where(and(holds(role), after === null ? undefined : isAfter(after)))
        .orderBy(asc(users.createdAt), asc(users.id))
        .limit(limit)
        .for('no key update');
    },

    /** Takes a role from users who are locked. */
    async take({ database }: Transaction, role: string, userIds: string[]): Promise<void> {
      await database
        .update(users)
        .set({ roles: sql`array_remove(${users.roles}, ${role})`, updatedAt: sql`now()` })
        .where(inArray(users.id, userIds));
    },
  };
}
