import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { KeyService } from '../keys/key-service.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';

/** An access token as it was signed, and what has to be as it was then for it to be given out again. */
type Kept = { token: string; mintedAt: number; version: number; kid: string };

/** About 1 KiB each. */
const MAX_KEPT = 10_000;

type TokenReuseParts = {
  /** For how long after its minting a token may be given out again; 0 is never. */
  windowMs: number;
  keys: Pick<KeyService, 'activeKid'>;
  now: Clock;
};

/** What is left of a reused token: its age is to be taken off its life. */
export type ReusableToken = { token: string; ageMs: number };

/**
 * Access tokens of a moment ago, for sessions that ask again: a signature is most of what a token costs.
 *
 * Whoever asks has found the session live just now, so that no ended one gets a token. One that says something else by
 * now (its version has grown) or was signed by a key that is not the active one any more is not given out again.
 */
export function createTokenReuse({ windowMs, keys, now }: TokenReuseParts) {
  const kept = new LRUCache<string, Kept>({ max: MAX_KEPT });

  return {
    find(session: SessionRecord, audience = ''): ReusableToken | null {
      const found = windowMs === 0 ? undefined : kept.get(keyOf(session, audience));
      if (found === undefined || found.version !== session.version || found.kid !== keys.activeKid())
        return null;
      const ageMs = now() - found.mintedAt;
      // The database's clock may have been set back meanwhile.
      return ageMs >= 0 && ageMs < windowMs ? { token: found.token, ageMs } : null;
    },

    keep(session: SessionRecord, audience = '', token: string): void {
      const kid = keys.activeKid();
      if (windowMs === 0 || kid === null) return;
      kept.set(keyOf(session, audience), { token, mintedAt: now(), version: session.version, kid });
    },
  };
}

/** An audience is a URI or a word, so it holds no space. */
function keyOf({ id }: SessionRecord, audience: string): string {
  return `${id} ${audience}`;
}
