import type { Database, Transaction } from '../db/database.ts';
import { and, asc, eq, gt, gte, inArray, isNotNull, isNull, lt, notInArray, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { tryLock } from '../db/locks.ts';
import { oneTimeCodes } from '../db/schema.ts';
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

/** Which code for typing somebody tries. */
export type TypedTry = { email: string | undefined; purpose: CodePurpose; userId: string | undefined };

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

/** The `one_time_codes` table. */
export function createCodeStore(database: Database) {
  return {
    async insert(transaction: Transaction, { lifeMs, ...code }: NewCode): Promise<void> {
      await transaction.database
        .insert(oneTimeCodes)
        .values({ ...code, createdAt: sql`now()`, expiresAt: sql`now() + ${inMs(lifeMs)}` });
    },

    async findByLink(linkHash: Buffer, purpose: CodePurpose): Promise<OpenCode | null> {
      const [row] = await database
        .select(openCode)
        .from(oneTimeCodes)
        .where(and(eq(oneTimeCodes.linkHash, linkHash), eq(oneTimeCodes.purpose, purpose), isOpen()));
      return row ?? null;
    },

    /**
     * The codes that a typed one may be. The try counts for each of them from now on, so that many tries at a time are no
     * more than five; those that are used up are left out.
     */
    async takeTry({
      email,
      purpose,
      userId,
    }: TypedTry): Promise<(OpenCode & { typedHash: Buffer | null })[]> {
      const tried = database.$with('tried').as(
        database
          .select({ id: oneTimeCodes.id })
          .from(oneTimeCodes)
          .where(
            and(
              email === undefined ? undefined : eq(oneTimeCodes.email, email),
              eq(oneTimeCodes.purpose, purpose),
              userId === undefined ? undefined : eq(oneTimeCodes.userId, userId),
              isOpen(),
              isNotNull(oneTimeCodes.typedHash),
              lt(oneTimeCodes.wrongTries, WRONG_TRIES),
            ),
          )
          .orderBy(asc(oneTimeCodes.id))
          .for('update'),
      );
      return database
        .with(tried)
        .update(oneTimeCodes)
        .set({ wrongTries: sql`${oneTimeCodes.wrongTries} + 1` })
        .from(tried)
        .where(eq(oneTimeCodes.id, tried.id))
        .returning({ ...openCode, typedHash: oneTimeCodes.typedHash });
    },

    /** Takes back a try that was right. */
    async giveBackTry(ids: string[]): Promise<void> {
      await database
        .update(oneTimeCodes)
        .set({ wrongTries: sql`${oneTimeCodes.wrongTries} - 1` })
        .where(inArray(oneTimeCodes.id, ids));
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
      const madeAt = sql`(select code.created_at from ${oneTimeCodes} as code where code.id = ${id})`;
      const isAmong = others === 'all' ? undefined : gte(oneTimeCodes.createdAt, madeAt);
      const open = await database
        .select({ id: oneTimeCodes.id })
        .from(oneTimeCodes)
        .where(and(eq(oneTimeCodes.userId, userId), eq(oneTimeCodes.purpose, purpose), isAmong, isOpen()))
        .orderBy(asc(oneTimeCodes.id))
        .for('update');
      const ids = open.map((code) => code.id);
      if (!ids.includes(id)) return false;
      await database.update(oneTimeCodes).set({ spentAt: sql`now()` }).where(inArray(oneTimeCodes.id, ids));
      return true;
    },

    /** Spends all codes of a user but those of the purposes. */
    async spendAll({ database }: Transaction, userId: string, but: CodePurpose[]): Promise<void> {
      await database
        .update(oneTimeCodes)
        .set({ spentAt: sql`now()` })
        .where(
          and(
            eq(oneTimeCodes.userId, userId),
            notInArray(oneTimeCodes.purpose, but),
            isNull(oneTimeCodes.spentAt),
          ),
        );
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
        .limit(limit);
      const swept = await database
        .delete(oneTimeCodes)
        .where(inArray(oneTimeCodes.id, over))
        .returning({ id: oneTimeCodes.id });
      return swept.length;
    },
  };
}
