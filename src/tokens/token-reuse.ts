import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { KeyService } from '../keys/key-service.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { TokenResponse } from './access-token.ts';

/** A signed access token, and what must not have changed if the token is to be sent again. */
type Kept = { response: TokenResponse; mintedAt: number; version: number; kid: string };

/** About 1 KiB each. */
const MAX_KEPT = 10_000;

type TokenReuseParts = {
  /** How long after it was made a token may be sent again; 0 means never. */
  windowMs: number;
  keys: Pick<KeyService, 'activeKid'>;
  now: Clock;
};

/**
 * Access tokens of a moment ago, for sessions that ask again: the signature is most of the cost of a token.
 *
 * The caller has just found the session live, so that an ended session gets no token. A token is not sent again if the
 * session's claims have changed (its version has grown), or if the key that signed it is no longer active.
 */
export function createTokenReuse({ windowMs, keys, now }: TokenReuseParts) {
  const kept = new LRUCache<string, Kept>({ max: MAX_KEPT });

  return {
    /** The token of a moment ago, with what is left of its life. */
    find(session: SessionRecord, audience = ''): TokenResponse | null {
      const found = windowMs === 0 ? undefined : kept.get(keyOf(session, audience));
      if (found === undefined || found.version !== session.version || found.kid !== keys.activeKid())
        return null;
      const ageMs = now() - found.mintedAt;
      const expiresIn = Math.floor(found.response.expires_in - ageMs / 1000);
      // The database's clock may have been set back in the meantime. A token at its end is of no use.
      return ageMs >= 0 && ageMs < windowMs && expiresIn > 0
        ? { ...found.response, expires_in: expiresIn }
        : null;
    },

    keep(session: SessionRecord, audience = '', response: TokenResponse): void {
      const kid = keys.activeKid();
      // Without a claims version, which a copy of the release before lacks, services may take the token for void.
      if (windowMs === 0 || kid === null || session.claims.cv === undefined) return;
      kept.set(keyOf(session, audience), { response, mintedAt: now(), version: session.version, kid });
    },
  };
}

/** An audience is a URI or a word, so it holds no space. */
function keyOf({ id }: SessionRecord, audience: string): string {
  return `${id} ${audience}`;
}
