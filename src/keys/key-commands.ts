import type { Actor } from '../audit/audit-event.ts';
import { AppError } from '../core/errors.ts';
import type { KeyRotator, RotatorPolicy } from './key-rotator.ts';
import type { KeyStore, StoredKey } from './key-store.ts';
import { type KeyStatus, keyStatus, nextActivationAt } from './rotation-plan.ts';
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

/** When the keys change by themselves. */
export type RotationSchedule = {
  /** Algorithm of the next key. */
  algorithm: string;
  rotate_every_seconds: number;
  publish_ahead_seconds: number;
  retain_seconds: number;
  /** When the next key signs; in the past if that is overdue, null without an active key. */
  next_rotation_at: string | null;
};

/** What `rotate` did. Nothing when the next key waits already, or a leaked one is revoked already. */
export type KeyRotation = {
  changed: boolean;
  /** Why nothing was changed, in words for operators; null if something was. */
  reason: string | null;
  /** All keys, as they are now. */
  keys: KeyListing[];
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
  policy: RotatorPolicy;
  /** Makes the server that runs the command use the change at once; other replicas look every two seconds. */
  afterChange(): Promise<void>;
};

/** What operators can do to the signing keys. Plain JSON in, plain JSON out. */
export function createKeyCommands({ store, rotator, policy, afterChange }: KeyCommandParts) {
  const list = async (): Promise<KeyListing[]> => listingsOf((await store.list()).keys);

  return {
    list,

    /** The keys, and when they change. */
    async plan(): Promise<{ keys: KeyListing[]; schedule: RotationSchedule }> {
      const { keys } = await store.list();
      return { keys: listingsOf(keys), schedule: scheduleOf(keys) };
    },

    /**
     * Rotates the keys before they are due, or in an emergency.
     * @throws AppError `not_found` for an unknown kid, KeyEncryptionKeyError
     */
    async rotate({ now = false, revoke }: RotateArguments, actor: Actor): Promise<KeyRotation> {
      const before = await list();
      const kid = await (now ? rotator.replaceNow(revoke ?? null, actor) : rotator.publishNext(actor));
      try {
        await afterChange();
        return await describe(before, revoke ?? kid);
      } catch (cause) {
        const detail = `The keys have been rotated, to ${kid}; do not do it again. They could not be read afterwards: see \`doorward keys list\`.`;
        throw new AppError('internal_error', { detail, cause });
      }
    },

    /** @returns the kids of the keys that were encrypted anew, with the current key-encryption key */
    rewrap: (): Promise<string[]> => rotator.rewrap(),
  };

  /** @param kid of the key that the command was about */
  async function describe(before: KeyListing[], kid: string): Promise<KeyRotation> {
    const { keys: stored, databaseNow } = await store.list();
    const keys = stored.map(toListing);
    const statuses = new Map(before.map((key) => [key.kid, key.status]));
    const changed = keys.some((key) => statuses.get(key.kid) !== key.status);
    if (changed) return { changed, reason: null, keys };
    // Without an active key, the next one is due at once.
    const now = keys.some(({ status }) => status === 'active') ? databaseNow : Number.POSITIVE_INFINITY;
    const told = stored.filter((key) => key.kid === kid).map((key) => whyUnchanged(key, now));
    return { changed, reason: told.join(), keys };
  }

  function scheduleOf(keys: StoredKey[]): RotationSchedule {
    return {
      algorithm: policy.algorithm,
      rotate_every_seconds: policy.rotateEveryMs / 1000,
      publish_ahead_seconds: policy.publishAheadMs / 1000,
      retain_seconds: policy.retainMs / 1000,
      next_rotation_at: iso(nextActivationAt(keys, policy)),
    };
  }

  function whyUnchanged({ kid, revokedAt, publishedAt }: StoredKey, now: number): string {
    if (revokedAt !== null) return `the key ${kid} was revoked at ${iso(revokedAt)}.`;
    const signsAt = publishedAt + policy.publishAheadMs;
    const start = now < signsAt ? `from ${iso(signsAt)} on` : 'as soon as a server runs';
    return `the next key, ${kid}, was published at ${iso(publishedAt)}, and signs ${start}. To change keys at once: doorward keys rotate --now`;
  }
}

const iso = (instant: number | null): string | null =>
  instant === null ? null : new Date(instant).toISOString();

/** Looking needs no key-encryption key: without the right one, the rows are shown as they are. */
function listingsOf(keys: StoredKey[]): KeyListing[] {
  return keys.map((key) => toListing(opensNone(keys) ? { ...key, distrust: undefined } : key));
}

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
