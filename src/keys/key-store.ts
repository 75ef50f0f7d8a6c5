import type { PublicJwk, SigningAlgorithm } from '../core/jwk.ts';
import type { Database, Transaction } from '../db/database.ts';
import { asc, eq, inArray, sql } from '../db/drizzle.ts';
import { inMs } from '../db/interval.ts';
import { waitForLock } from '../db/locks.ts';
import { signingKeys } from '../db/schema.ts';
import type { KeyTimes } from './rotation-plan.ts';

export type StoredKey = KeyTimes & {
  algorithm: SigningAlgorithm;
  publicJwk: PublicJwk;
  encryptedPrivateKey: Buffer;
};

export type NewStoredKey = Pick<StoredKey, 'kid' | 'algorithm' | 'publicJwk' | 'encryptedPrivateKey'>;

/** All keys, oldest first, and the database time of that query in milliseconds since the epoch. */
export type KeyRing = { keys: StoredKey[]; databaseNow: number };

export type KeyStore = ReturnType<typeof createKeyStore>;

const ms = (instant: Date | null): number | null => instant?.getTime() ?? null;

/** The `signing_keys` table. */
export function createKeyStore(database: Database) {
  return {
    async list(transaction?: Transaction): Promise<KeyRing> {
      const rows = await (transaction?.database ?? database)
        .select({ databaseNow: sql`now()`.mapWith(signingKeys.publishedAt), key: signingKeys })
        .from(sql`(select) as always`)
        .leftJoin(signingKeys, sql`true`)
        .orderBy(asc(signingKeys.publishedAt), asc(signingKeys.kid));
      const keys = rows.flatMap(({ key }) => (key === null ? [] : [toStoredKey(key)]));
      return { keys, databaseNow: Number(rows[0]?.databaseNow) };
    },

    /** Waits until no other replica rotates, and keeps others waiting until the transaction ends. */
    lock: (transaction: Transaction): Promise<void> => waitForLock(transaction, 'rotateKeys'),

    async insert({ database }: Transaction, key: NewStoredKey): Promise<void> {
      await database.insert(signingKeys).values({ ...key, publishedAt: sql`now()` });
    },

    /** Lets a pending key sign. @throws DatabaseError while another one is active */
    async activate({ database }: Transaction, kid: string): Promise<void> {
      await database.update(signingKeys).set({ activatedAt: sql`now()` }).where(eq(signingKeys.kid, kid));
    },

    /** Ends a key's signing. It stays in the key set for `retainMs` more. */
    async retire({ database }: Transaction, kid: string, retainMs: number): Promise<void> {
      // In whole milliseconds, as `list` returns the time: otherwise a deletion could be due but refused by the
      // database.
      const deleteAfter = sql`date_trunc('milliseconds', now()) + ${inMs(retainMs)}`;
      await database
        .update(signingKeys)
        .set({ retiredAt: sql`now()`, deleteAfter })
        .where(eq(signingKeys.kid, kid));
    },

    /** Takes a key out of the key set for good. Its row stays, as a record of when that was first done. */
    async revoke({ database }: Transaction, kid: string): Promise<void> {
      const revokedAt = sql`coalesce(${signingKeys.revokedAt}, now())`;
      await database.update(signingKeys).set({ revokedAt }).where(eq(signingKeys.kid, kid));
    },

    /** @throws DatabaseError for a key whose tokens may still be valid */
    async delete({ database }: Transaction, kids: string[]): Promise<void> {
      await database.delete(signingKeys).where(inArray(signingKeys.kid, kids));
    },

    /** Stores the same private key, encrypted with another key-encryption key. */
    async rewrap({ database }: Transaction, kid: string, encryptedPrivateKey: Buffer): Promise<void> {
      await database.update(signingKeys).set({ encryptedPrivateKey }).where(eq(signingKeys.kid, kid));
    },
  };
}

function toStoredKey(row: typeof signingKeys.$inferSelect): StoredKey {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    publicJwk: row.publicJwk,
    encryptedPrivateKey: row.encryptedPrivateKey,
    publishedAt: row.publishedAt.getTime(),
    activatedAt: ms(row.activatedAt),
    retiredAt: ms(row.retiredAt),
    revokedAt: ms(row.revokedAt),
    deleteAfter: ms(row.deleteAfter),
  };
}
