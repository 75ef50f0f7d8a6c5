import type { SQL } from 'drizzle-orm';
import type { Database, Transaction } from '../db/database.ts';
import {
  and,
  asc,
  desc,
  eq,
  gt,
  gte,
  inArray,
  isNotNull,
  isNull,
  lt,
  notInArray,
  sql,
} from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { oneTimeCodes, users } from '../db/schema.ts';
import type { CodePurpose } from './one-time-code.ts';

export type NewCode = {
  id: string;
  userId: string;
  purpose: CodePurpose;
  /** Canonical. */
  email: string;
  linkHash: Buffer | null;
  typedHash: Buffer | null;
  browserHash: Buffer | null;
  context: Record<string, string>;
  lifeMs: number;
};

/** A code that may be spent, as it was found. */
export type OpenCode = {
  id: string;
  userId: string;
  purpose: CodePurpose;
  /** The canonical address that it was sent to. */
  email: string;
  browserHash: Buffer | null;
  context: Record<string, string>;
};

/** A code as it is stored, without its hashes. */
export type StoredCode = Omit<
  typeof oneTimeCodes.$inferSelect,
  'userId' | 'linkHash' | 'typedHash' | 'browserHash'
>;

/** Which code for typing somebody tries. */
export type TypedTry = {
  email: string | undefined;
  purposes: CodePurpose[];
  userId: string | undefined;
};

/** A code for typing that is being tried. */
export type TriedCode = OpenCode & { typedHash: Buffer };

export type CodeStore = ReturnType<typeof createCodeStore>;

const WRONG_TRIES = 5;

const openCode = {
  id: oneTimeCodes.id,
  userId: oneTimeCodes.userId,
  purpose: sql<CodePurpose>`${oneTimeCodes.purpose}`,
  email: oneTimeCodes.email,
  browserHash: oneTimeCodes.browserHash,
  context: oneTimeCodes.context,
};

const isOpen = () => and(isNull(oneTimeCodes.spentAt), gt(oneTimeCodes.expiresAt, sql`now()`));

/** Of two transactions that lock some of the same codes, one waits for the other, and never both. */
function lockInOrder(database: Database, chosen: SQL | undefined) {
  return database
    .select({ id: oneTimeCodes.id })
    .from(oneTimeCodes)
    .where(chosen)
    .orderBy(asc(oneTimeCodes.id))
    .for('update');
}

/** The `one_time_codes` table. */
export function createCodeStore(database: Database) {
  return {
    async insert(transaction: Transaction, { lifeMs, ...code }: NewCode): Promise<void> {
      await transaction.database
        .insert(oneTimeCodes)
        .values({ ...code, createdAt: sql`now()`, expiresAt: sql`now() + ${inMs(lifeMs)}` });
    },

    async findByLink(linkHash: Buffer, purposes: CodePurpose[]): Promise<OpenCode | null> {
      const [row] = await database
        .select(openCode)
        .from(oneTimeCodes)
        .where(and(eq(oneTimeCodes.linkHash, linkHash), inArray(oneTimeCodes.purpose, purposes), isOpen()));
      return row ?? null;
    },

    /** The browser that the user's newest open code of that purpose is bound to; null if none is. */
    async findBrowserHash(
      { database }: Transaction,
      userId: string,
      purpose: CodePurpose,
    ): Promise<Buffer | null> {
      const [row] = await database
        .select({ browserHash: oneTimeCodes.browserHash })
        .from(oneTimeCodes)
        .where(
          and(
            eq(oneTimeCodes.userId, userId),
            eq(oneTimeCodes.purpose, purpose),
            isNotNull(oneTimeCodes.browserHash),
            isOpen(),
          ),
        )
        .orderBy(desc(oneTimeCodes.id))
        .limit(1);
      return row?.browserHash ?? null;
    },

    /**
     * The codes that a typed one may be. The try counts for each of them from now on, so that many tries at a time are no
     * more than five; those that are used up are left out.
     */
    async takeTry({ database }: Transaction, { email, purposes, userId }: TypedTry): Promise<TriedCode[]> {
      const isTried = and(
        email === undefined ? undefined : eq(oneTimeCodes.email, email),
        userId === undefined ? undefined : eq(oneTimeCodes.userId, userId),
        inArray(oneTimeCodes.purpose, purposes),
        isOpen(),
        isNotNull(oneTimeCodes.typedHash),
        lt(oneTimeCodes.wrongTries, WRONG_TRIES),
      );
      const tried = database.$with('tried').as(lockInOrder(database, isTried));
      return database
        .with(tried)
        .update(oneTimeCodes)
        .set({ wrongTries: sql`${oneTimeCodes.wrongTries} + 1` })
        .from(tried)
        .where(eq(oneTimeCodes.id, tried.id))
        .returning({
          ...openCode,
          typedHash: sql<Buffer>`${oneTimeCodes.typedHash}`.mapWith(oneTimeCodes.typedHash),
        });
    },

    /** Takes back a try that was right. */
    async giveBackTry(ids: string[]): Promise<void> {
      const tried = database.$with('tried').as(lockInOrder(database, inArray(oneTimeCodes.id, ids)));
      await database
        .with(tried)
        .update(oneTimeCodes)
        .set({ wrongTries: sql`${oneTimeCodes.wrongTries} - 1` })
        .from(tried)
        .where(eq(oneTimeCodes.id, tried.id));
    },

    /**
     * Spends a code and others of its user and purpose: all, or only those that were made after it.
     * @returns false when it was spent before, or is too old: then nothing is
     */
    async spend(
      { database }: Transaction,
      { id, userId, purpose }: OpenCode,
      others: 'all' | 'later' = 'all',
    ): Promise<boolean> {
      // As every change of an account does first: two of them that spend codes would otherwise wait for each other.
      await database.select({ id: users.id }).from(users).where(eq(users.id, userId)).for('no key update');
      const madeAt = sql`(select code.created_at from ${oneTimeCodes} as code where code.id = ${id})`;
      const isAmong = others === 'all' ? undefined : gte(oneTimeCodes.createdAt, madeAt);
      const open = await lockInOrder(
        database,
        and(eq(oneTimeCodes.userId, userId), eq(oneTimeCodes.purpose, purpose), isAmong, isOpen()),
      );
      const ids = open.map((code) => code.id);
      if (!ids.includes(id)) return false;
      await database.update(oneTimeCodes).set({ spentAt: sql`now()` }).where(inArray(oneTimeCodes.id, ids));
      return true;
    },

    /** Spends all codes of a user but those of the purposes. */
    async spendAll({ database }: Transaction, userId: string, but: CodePurpose[]): Promise<void> {
      const isOther = and(eq(oneTimeCodes.userId, userId), notInArray(oneTimeCodes.purpose, but), isOpen());
      const open = database.$with('open').as(lockInOrder(database, isOther));
      await database
        .with(open)
        .update(oneTimeCodes)
        .set({ spentAt: sql`now()` })
        .from(open)
        .where(eq(oneTimeCodes.id, open.id));
    },

    /** Codes of a user, the oldest first. @param after the id of the last one that the caller has */
    list(userId: string, limit: number, after: string): Promise<StoredCode[]> {
      const { id, purpose, email, wrongTries, context, createdAt, expiresAt, spentAt } = oneTimeCodes;
      return database
        .select({ id, purpose, email, wrongTries, context, createdAt, expiresAt, spentAt })
        .from(oneTimeCodes)
        .where(and(eq(oneTimeCodes.userId, userId), gt(oneTimeCodes.id, after)))
        .orderBy(asc(oneTimeCodes.id))
        .limit(limit);
    },

    /**
     * Deletes codes that are too old, at most `limit`.
     * @returns how many; 0 while another replica is sweeping
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      if (!(await tryLock(transaction, 'sweepCodes'))) return 0;
      const { database } = transaction;
      const over = database
        .select({ id: oneTimeCodes.id })
        .from(oneTimeCodes)
        .where(lt(oneTimeCodes.expiresAt, sql`now()`))
        .limit(limit)
        .for('update', { skipLocked: true });
      const swept = await database
        .delete(oneTimeCodes)
        .where(inArray(oneTimeCodes.id, over))
        .returning({ id: oneTimeCodes.id });
      return swept.length;
    },
  };
}
