import { isDeepStrictEqual } from 'node:util';
import { KeyEncryptionKeyError, type KeySeal, materialOf } from './key-material.ts';
import type { KeyStore, StoredKey } from './key-store.ts';
import { keyStatus } from './rotation-plan.ts';

/** The row of a signing key was changed: it says something else than the private key in it. */
class KeyRowError extends Error {
  override readonly name = 'KeyRowError';
}

/** What was found out about a row, as long as it stays the same. */
type Verdict = { row: object; distrust: Error | undefined };

/**
 * The store, whose list says which keys are not to be trusted, and why. Whoever can write to the database can insert a
 * public key of their own, but cannot seal a private key. So a row counts only if its private key opens, and its kid,
 * algorithm and public key are those of that private key. A row is opened once, and again when it changes.
 * @param warn called once for each row that is not trusted
 */
export function trustKeys(store: KeyStore, seal: KeySeal, warn: (error: unknown) => void): KeyStore {
  let verdicts = new Map<string, Verdict>();

  return {
    ...store,
    async list(transaction) {
      const { keys, databaseNow } = await store.list(transaction);
      const next = new Map<string, Verdict>();
      for (const key of keys.filter(needsTrust)) next.set(key.kid, await judge(key));
      verdicts = next;
      return { keys: keys.map((key) => mark(key, next.get(key.kid)?.distrust)), databaseNow };
    },
  };

  async function judge(key: StoredKey): Promise<Verdict> {
    const { kid, algorithm, publicJwk, encryptedPrivateKey } = key;
    const row = { kid, algorithm, publicJwk, encryptedPrivateKey };
    const known = verdicts.get(kid);
    if (known !== undefined && isDeepStrictEqual(known.row, row)) return known;
    const distrust = await findFault(key);
    if (distrust !== undefined) warn(distrust);
    return { row, distrust };
  }

  async function findFault({ kid, algorithm, publicJwk, encryptedPrivateKey }: StoredKey) {
    const opened = tryToOpen(kid, encryptedPrivateKey);
    if (opened instanceof KeyEncryptionKeyError) return opened;
    const { privateKey, ...own } = await materialOf(opened.privateKey);
    if (isDeepStrictEqual({ kid, algorithm, publicJwk }, own)) return undefined;
    return new KeyRowError(
      `The row of signing key ${kid} in the database does not fit the private key in it, so it is not used: doorward keys rotate --now --revoke ${kid}`,
    );
  }

  function tryToOpen(kid: string, sealed: Buffer) {
    try {
      return seal.open(kid, sealed);
    } catch (error) {
      if (error instanceof KeyEncryptionKeyError) return error;
      throw error;
    }
  }
}

function mark(key: StoredKey, distrust: Error | undefined): StoredKey {
  return distrust === undefined ? key : { ...key, distrust };
}

/** Whether the key-encryption key opens none of the keys: then it is the wrong one, and proves nothing about them. */
export function opensNone(keys: StoredKey[]): boolean {
  return keys.filter(needsTrust).every(({ distrust }) => distrust instanceof KeyEncryptionKeyError);
}

/** A revoked key is never used again, and what sealed it may be lost. */
function needsTrust(key: StoredKey): boolean {
  return keyStatus(key) !== 'revoked';
}
