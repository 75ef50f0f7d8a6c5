import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import { costMsOf, MOST_MS_OF_ALL } from './hash-bounds.ts';
import type { ImportedHashStore, StoredStrength } from './imported-hash-store.ts';
import type { KnownStrength } from './password-hash.ts';
import type { SignerKeySeal } from './signer-key-seal.ts';
import { readStrength, type SignerKey } from './stored-hash.ts';

type ImportedHashParts = {
  store: ImportedHashStore;
  seal: SignerKeySeal;
  transact: Transact;
  /** Called when a signer key does not open. */
  onSealedKey(error: Error): void;
};

export type ImportedHashes = ReturnType<typeof createImportedHashes>;

/** The kinds of password hashes that came with imported users, with the keys that belong to them. */
export function createImportedHashes({ store, seal, transact, onSealedKey }: ImportedHashParts) {
  return {
    /**
     * All, but those whose key does not open: the passwords of these cannot be checked.
     * @throws AppError `unavailable`
     */
    async list(): Promise<KnownStrength[]> {
      return (await store.list()).flatMap(({ strength, sealedKey }): KnownStrength[] => {
        if (sealedKey === null) return [{ strength, key: null }];
        const opened = seal.open(strength, sealedKey);
        if (opened === null) onSealedKey(notOpened(strength));
        return opened === null ? [] : [{ strength, key: opened.key }];
      });
    },

    /**
     * Writes down new strengths, before users with such hashes.
     * @param wanted strengths with the keys that came with them
     * @param isDryRun only say what would be refused
     * @returns why hashes of a strength cannot be taken, a sentence for each strength that cannot
     */
    async admit(
      transaction: Transaction,
      wanted: Map<string, SignerKey | null>,
      isDryRun: boolean,
    ): Promise<Map<string, string>> {
      const known = await store.listIn(transaction);
      const { admitted, problems } = choose(known, wanted);
      if (admitted.length > 0 && !isDryRun) await store.add(transaction, admitted);
      return problems;
    },

    /**
     * Seals all keys with the current key-encryption key.
     * @returns the strengths whose keys were sealed with the previous one
     * @throws AppError `internal_error` when a key does not open; then nothing is changed
     */
    rewrap: (): Promise<string[]> =>
      transact(async (transaction) => {
        const stale = (await store.listIn(transaction)).flatMap(({ strength, sealedKey }) => {
          if (sealedKey === null) return [];
          const opened = seal.open(strength, sealedKey);
          if (opened === null) throw notOpened(strength);
          return opened.isCurrent ? [] : [{ strength, from: sealedKey, to: seal.seal(strength, opened.key) }];
        });
        for (const { strength, from, to } of stale) await store.reseal(transaction, strength, from, to);
        return stale.map(({ strength }) => strength);
      }),
  };

  function choose(known: StoredStrength[], wanted: Map<string, SignerKey | null>) {
    const names = new Set(known.map(({ strength }) => strength));
    let ms = [...names].reduce((sum, name) => sum + costOf(name), 0);
    const admitted: StoredStrength[] = [];
    const problems = new Map<string, string>();
    for (const [strength, key] of wanted) {
      if (names.has(strength)) continue;
      const problem = problemOf(strength, key, ms + costOf(strength));
      if (problem !== null) problems.set(strength, problem);
      else {
        ms += costOf(strength);
        admitted.push({ strength, sealedKey: key && seal.seal(strength, key) });
      }
    }
    return { admitted, problems };
  }
}

function problemOf(strength: string, key: SignerKey | null, ms: number): string | null {
  if (strength.startsWith('$fbscrypt$') && key === null)
    return 'The signer key of the password hash is not here: import it with the parameters of its Firebase project.';
  if (ms > MOST_MS_OF_ALL)
    return `With hashes of ${strength}, beside those that were imported before, each sign-in would take about ${(ms / 1000).toFixed(1)} seconds, and at most ${MOST_MS_OF_ALL / 1000} are allowed. Import the user without the hash.`;
  return null;
}

/** What a hash costs besides its work, by far: without it, thousands of cheap strengths would be within the bound. */
const LEAST_MS = 1;

/** No more for a strength of a later release. */
function costOf(text: string): number {
  const strength = readStrength(text);
  return strength === null ? LEAST_MS : Math.max(LEAST_MS, costMsOf(strength));
}

function notOpened(strength: string): AppError {
  const detail = `KEY_ENCRYPTION_KEY does not open the signer key of the imported password hashes ${strength}: set it, or KEY_ENCRYPTION_KEY_PREVIOUS, to the key with which that one was stored. Nothing was changed.`;
  return new AppError('internal_error', { detail });
}
