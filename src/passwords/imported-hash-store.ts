import type { Database, Transaction } from '../db/database.ts';
import { and, asc, eq } from '../db/drizzle.ts';
import { importedHashes } from '../db/schema.ts';

export type StoredStrength = { strength: string; sealedKey: Buffer | null };

export type ImportedHashStore = ReturnType<typeof createImportedHashStore>;

/** The `imported_hashes` table. It is short: what may be added is bounded by what a sign-in may cost. */
export function createImportedHashStore(database: Database) {
  const columns = { strength: importedHashes.strength, sealedKey: importedHashes.sealedKey };

  return {
    list(): Promise<StoredStrength[]> {
      return database.select(columns).from(importedHashes).orderBy(asc(importedHashes.strength));
    },

    listIn(transaction: Transaction): Promise<StoredStrength[]> {
      return transaction.database.select(columns).from(importedHashes);
    },

    /** Those that are there already stay as they are. */
    async add({ database }: Transaction, strengths: StoredStrength[]): Promise<void> {
      await database.insert(importedHashes).values(strengths).onConflictDoNothing();
    },

    /** Puts a sealed key in the place of another; does nothing if that one is not there any more. */
    async reseal({ database }: Transaction, strength: string, from: Buffer, to: Buffer): Promise<void> {
      await database
        .update(importedHashes)
        .set({ sealedKey: to })
        .where(and(eq(importedHashes.strength, strength), eq(importedHashes.sealedKey, from)));
    },
  };
}
