import type { SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { and, desc, eq, sql } from '../db/drizzle.ts';
import { instantOfMicros, microsOf } from '../db/micros.ts';
import { users } from '../db/schema.ts';
import { currentStatus, isActiveUser } from '../db/user-status.ts';
import type { ListedUser } from './user-listing.ts';

/** Which users to list; what is left out does not matter. Instants are RFC 3339. */
export type UserFilter = {
  /** A prefix of the canonical address or of the name, in any case. */
  search?: string | undefined;
  status?: 'active' | 'banned' | undefined;
  role?: string | undefined;
  verified?: boolean | undefined;
  /** From this instant on. */
  createdAfter?: string | undefined;
  /** Before this instant. */
  createdBefore?: string | undefined;
};

/** The user behind whom a list goes on. */
export type UserPlace = {
  /** When the account was made, in microseconds since the epoch: a Date does not hold them. */
  micros: string;
  id: string;
};

/** A part of the list. `next` is where it goes on; null at its end. */
export type FoundUsers = { users: ListedUser[]; next: UserPlace | null };

export type UserListStore = ReturnType<typeof createUserListStore>;

/**
 * Rows that a part of the list may look at where no index knows the filter. If it finds too little in them, the next part
 * goes on behind them: so no filter reads a whole table of millions at once.
 */
const WALKED_AT_MOST = 10_000;

/** The columns of a `ListedUser`. */
export const listedUser = {
  id: users.id,
  email: users.email,
  emailAsTyped: users.emailAsTyped,
  emailVerifiedAt: users.emailVerifiedAt,
  displayName: users.displayName,
  locale: users.locale,
  metadata: users.metadata,
  roles: users.roles,
  status: currentStatus(),
  bannedAt: users.bannedAt,
  bannedUntil: users.bannedUntil,
  banReason: users.banReason,
  hasPassword: sql<boolean>`${users.passwordHash} is not null`,
  externalId: users.externalId,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
  deletionDueAt: users.deletionDueAt,
};

const micros = microsOf(users.createdAt);

/** Where a user is in the order of the list. */
const place = sql`(${users.createdAt}, ${users.id})`;

/** The lists of users, the newest first. */
export function createUserListStore(database: Database) {
  return {
    async find(id: string): Promise<ListedUser | null> {
      const [row] = await database.select(listedUser).from(users).where(eq(users.id, id));
      return row ?? null;
    },

    /** @param email canonical */
    async findByEmail(email: string): Promise<ListedUser | null> {
      const [row] = await database.select(listedUser).from(users).where(eq(users.email, email));
      return row ?? null;
    },

    /** At most `limit` users. There may be fewer of them although the list goes on. */
    async list(filter: UserFilter, limit: number, after: UserPlace | null): Promise<FoundUsers> {
      const range = and(...rangeOf(filter), after === null ? undefined : sql`${place} < ${toPlace(after)}`);
      const end = isWalk(filter) ? await findEnd(range) : null;
      const walked = end === null ? undefined : sql`${place} >= ${toPlace(end)}`;
      const rows = await database
        .select({ user: listedUser, micros })
        .from(users)
        .where(and(range, walked, ...matching(filter)))
        .orderBy(desc(users.createdAt), desc(users.id))
        // One more shows whether the list goes on.
        .limit(limit + 1);
      const found = rows.slice(0, limit);
      const last = found.at(-1);
      const next = rows.length > limit && last ? { micros: last.micros, id: last.user.id } : end;
      return { users: found.map(({ user }) => user), next };
    },
  };

  /** The last row that a part may look at; null if there are not so many. */
  async function findEnd(range: SQL | undefined): Promise<UserPlace | null> {
    const [last] = await database
      .select({ id: users.id, micros })
      .from(users)
      .where(range)
      .orderBy(desc(users.createdAt), desc(users.id))
      .offset(WALKED_AT_MOST - 1)
      .limit(1);
    return last ?? null;
  }
}

/** Whether there is a condition beside the order of the list, and none for which there is an index. */
function isWalk({ search, status, role, verified }: UserFilter): boolean {
  if (search !== undefined || role !== undefined || status === 'banned') return false;
  return status === 'active' || verified !== undefined;
}

function rangeOf({ createdAfter, createdBefore }: UserFilter): (SQL | undefined)[] {
  return [
    createdAfter === undefined ? undefined : sql`${users.createdAt} >= ${createdAfter}::timestamptz`,
    createdBefore === undefined ? undefined : sql`${users.createdAt} < ${createdBefore}::timestamptz`,
  ];
}

function matching({ search, status, role, verified }: UserFilter): (SQL | undefined)[] {
  return [
    search === undefined ? undefined : hasPrefix(search),
    status === undefined ? undefined : hasStatus(status),
    // The first half is that of a partial index.
    role === undefined ? undefined : sql`${users.roles} <> '{}' and ${users.roles} @> array[${role}]::text[]`,
    verified === undefined ? undefined : sql`(${users.emailVerifiedAt} is not null) = ${verified}`,
  ];
}

function hasStatus(status: 'active' | 'banned'): SQL {
  return status === 'active' ? isActiveUser() : sql`${users.status} = 'banned' and not ${isActiveUser()}`;
}

/**
 * The name in the case of the database, whose index is of that. By id, so that PostgreSQL begins with the two indexes: it
 * knows nothing of how common a name is, and would otherwise walk along the table. Addresses and names are stored in NFC.
 */
function hasPrefix(search: string): SQL {
  const pattern = `${search.normalize('NFC').replace(/[\\%_]/g, '\\$&')}%`;
  return sql`${users.id} in (
    select ${users.id} from ${users} where ${users.email} like ${pattern.toLowerCase()}
    union all select ${users.id} from ${users}
    where ${users.displayName} is not null and lower(${users.displayName}) like lower(${pattern}))`;
}

function toPlace({ micros, id }: UserPlace): SQL {
  return sql`(${instantOfMicros(micros)}, ${id}::uuid)`;
}
