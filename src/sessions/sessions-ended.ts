import Type from 'typebox';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { KEEP_MS, type SessionCache } from './session-cache.ts';

/** Sessions that have ended in the database, by the SHA-256 of their generate tokens, in hexadecimal. */
export const SessionsEnded = Type.Object({ tokenHashes: Type.Array(Type.String()) });

/** Longer than a transaction and a fill can take together: a copy may have been made while the sessions were being ended. */
const MARGIN_MS = 60_000;

/**
 * By this lane the cache learns which sessions have ended: no replica may go by a copy of them any more. The request
 * that ends a session waits for it, so that everywhere the session is over when the answer arrives.
 */
export function sessionsEndedLane(cache: SessionCache): LaneSettings<typeof SessionsEnded> {
  return {
    kind: 'sessions_ended',
    payload: SessionsEnded,
    async deliver({ tokenHashes }, { ageMs }) {
      // By then every copy from before has gone by itself, so that even a long outage leaves no dead messages.
      if (ageMs > KEEP_MS + MARGIN_MS) return;
      await Promise.all(tokenHashes.map((hash) => cache.invalidate(Buffer.from(hash, 'hex'))));
    },
    isAwaited: true,
    atOnce: 100,
    deadlineMs: 1_000,
    // As soon as the cache is back: until then a copy there may let an ended session pass. Enough attempts for an hour.
    retry: { firstDelayMs: 500, maxDelayMs: 2_000, maxAttempts: 2_400 },
  };
}
