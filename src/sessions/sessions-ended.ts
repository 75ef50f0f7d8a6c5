import Type from 'typebox';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { KEEP_MS, type SessionCache } from './session-cache.ts';

/** Sessions that have ended in the database, by the SHA-256 of their generate tokens, in hexadecimal. */
export const SessionsEnded = Type.Object({
  tokenHashes: Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' })),
});

/** Longer than a transaction and a fill together: a copy may have been made while the transaction was running. */
const MARGIN_MS = 60_000;

/**
 * Brings ended sessions to the cache, so that no replica uses a copy of them any more. The request that ends a session
 * waits for this, so that the session has ended on every replica when the answer arrives.
 */
export function sessionsEndedLane(cache: SessionCache): LaneSettings<typeof SessionsEnded> {
  return {
    kind: 'sessions_ended',
    payload: SessionsEnded,
    async deliver({ tokenHashes }, { ageMs }) {
      // By then every older copy has expired, so there is nothing to do, and a long outage leaves no dead messages.
      if (ageMs > KEEP_MS + MARGIN_MS) return;
      await Promise.all(tokenHashes.map((hash) => cache.invalidate(Buffer.from(hash, 'hex'))));
    },
    isAwaited: true,
    atOnce: 100,
    deadlineMs: 1_000,
    // Soon after the cache is back: until then a copy in it may let an ended session pass. Attempts for an hour.
    retry: { firstDelayMs: 500, maxDelayMs: 2_000, maxAttempts: 2_400 },
  };
}
