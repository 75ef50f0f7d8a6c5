import { AppError } from '../core/errors.ts';
import type { KeyRotator } from './key-rotator.ts';
import type { KeyStore, StoredKey } from './key-store.ts';
import { type KeyStatus, keyStatus } from './rotation-plan.ts';
import { opensNone } from './trusted-keys.ts';

/** One signing key, as operators and their programs see it. Instants are RFC 3339 in UTC. */
export type KeyListing = {
  kid: string;
  algorithm: string;
  status: KeyStatus;
  published_at: string;
  activated_at: string | null;
  retired_at: string | null;
  revoked_at: string | null;
  delete_after: string | null;
};

type RotateArguments = {
  /** Do not wait until verifiers can have the new key. */
  now?: boolean;
  /** kid of a leaked key. */
  revoke?: string;
};

type KeyCommandParts = {
  store: KeyStore;
  rotator: KeyRotator;
  /** Makes the server that runs the command use the change at once; other replicas look every two seconds. */
  afterChange(): Promise<void>;
};

/** What operators can do to the signing keys. Plain JSON in, plain JSON out. */
export function createKeyCommands({ store, rotator, afterChange }: KeyCommandParts) {
  const list = async (): Promise<KeyListing[]> => {
    const { keys } = await store.list();
    // Looking needs no key-encryption key: without the right one, the rows are shown as they are.
    return keys.map((key) => toListing(opensNone(keys) ? { ...key, distrust: undefined } : key));
  };

  return {
    list,

    /**
     * Rotates the keys before they are due, or in an emergency.
     * @returns all keys after the change
     * @throws AppError `not_found` for an unknown kid, KeyEncryptionKeyError
     */
    async rotate({ now = false, revoke }: RotateArguments): Promise<KeyListing[]> {
      const kid = await (now ? rotator.replaceNow(revoke ?? null) : rotator.publishNext());
      try {
        await afterChange();
        return await list();
      } catch (cause) {
        const detail = `The keys have been rotated, to ${kid}; do not do it again. They could not be read afterwards: see \`doorward keys list\`.`;
        throw new AppError('internal_error', { detail, cause });
      }
    },

    /** @returns the kids of the keys that were encrypted anew, with the current key-encryption key */
    rewrap: (): Promise<string[]> => rotator.rewrap(),
  };
}

const iso = (instant: number | null): string | null =>
  instant === null ? null : new Date(instant).toISOString();

function toListing(key: StoredKey): KeyListing {
  return {
    kid: key.kid,
    algorithm: key.algorithm,
    status: keyStatus(key),
    published_at: new Date(key.publishedAt).toISOString(),
    activated_at: iso(key.activatedAt),
    retired_at: iso(key.retiredAt),
    revoked_at: iso(key.revokedAt),
    delete_after: iso(key.deleteAfter),
  };
}
