import type { Clock } from '../core/clock.ts';
import type { KeyService, PublicKey } from './key-service.ts';

/** Tokens with invented kids must not cause a query each. */
const LOOK_AGAIN_AFTER_MS = 1_000;

/** The public key of a `kid`, or null. @throws AppError `unavailable` when the database does not answer */
export type FindKey = (kid: string) => Promise<PublicKey | null>;

/**
 * Finds the keys of our own tokens. In an emergency another replica may sign with a key that it made a moment ago, so
 * for an unknown kid this replica reads the keys from the database, at most once a second.
 * @param look reads the keys from the database
 * @param now of this process alone
 */
export function createKeyLookup(keys: KeyService, look: () => Promise<void>, now: Clock): FindKey {
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  return async (kid) => {
    const known = keys.findPublicKey(kid);
    if (known !== null) return known;
    if (looking !== undefined || now() - lookedAt >= LOOK_AGAIN_AFTER_MS) await lookOnce();
    return keys.findPublicKey(kid);
  };

  /** Joins a running look: looks run one after the other, and a flood of them would delay the schedule's own. */
  function lookOnce(): Promise<void> {
    looking ??= look()
      .then(() => {
        lookedAt = now();
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }
}
