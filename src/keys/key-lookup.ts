import type { Clock } from '../core/clock.ts';
import type { KeyService, PublicKey } from './key-service.ts';

/** Tokens with made-up kids must not become queries. */
const LOOK_AGAIN_AFTER_MS = 1_000;

/** The public key of a `kid`, or null where there is none. @throws AppError `unavailable` when that cannot be known */
export type FindKey = (kid: string) => Promise<PublicKey | null>;

/**
 * Finds the keys of our own tokens. In an emergency another replica may sign with a key that it made a moment ago: a
 * kid that this replica does not know is worth a look at the database, though at most one a second.
 * @param look takes over what the database says
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

  /** Joins the look under way: looks wait for each other, and those of a flood would keep the schedule's own waiting. */
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
