import Type, { type Static } from 'typebox';
import { createTurns } from '../core/turns.ts';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { KEEP_MS, type SessionCache } from './session-cache.ts';

/** Sessions that have ended in the database, by the SHA-256 of their generate tokens, in hexadecimal. */
export const SessionsEnded = Type.Object({
  tokenHashes: Type.Array(Type.String({ pattern: '^[0-9a-f]{64}$' })),
});

/** Few enough for a busy cache to take many such messages within the deadline. */
const HASHES_IN_A_MESSAGE = 100;
/**
 * Commands of this replica under way, over all messages. With many more, the last of them would miss the cache's own
 * deadline, and its circuit breaker would open for every user.
 */
const COMMANDS_AT_ONCE = 100;

/** The messages about ended sessions. */
export function sessionsEndedMessages(tokenHashes: Buffer[]): Static<typeof SessionsEnded>[] {
  return inParts(
    tokenHashes.map((hash) => hash.toString('hex')),
    HASHES_IN_A_MESSAGE,
  ).map((part) => ({
    tokenHashes: part,
  }));
}

/** Longer than a transaction and a fill together: a copy may have been made while the transaction was running. */
const MARGIN_MS = 60_000;

/**
 * Brings ended sessions to the cache, so that no replica uses a copy of them any more. The request that ends a session
 * waits for this, so that the session has ended on every replica when the answer arrives.
 */
export function sessionsEndedLane(cache: SessionCache): LaneSettings<typeof SessionsEnded> {
  const inTurn = createTurns(COMMANDS_AT_ONCE);
  const invalidate = (hash: string) => inTurn(() => cache.invalidate(Buffer.from(hash, 'hex')));
  return {
    kind: 'sessions_ended',
    payload: SessionsEnded,
    async deliver({ tokenHashes }, { ageMs, signal }) {
      // By then every older copy has expired, so there is nothing to do, and a long outage leaves no dead messages.
      if (ageMs > KEEP_MS + MARGIN_MS) return;
      // A part at a time, so that a large message does not stand in line before all others.
      for (const part of inParts(tokenHashes, COMMANDS_AT_ONCE)) {
        signal.throwIfAborted();
        await Promise.all(part.map(invalidate));
      }
    },
    isAwaited: true,
    atOnce: 20,
    deadlineMs: 1_000,
    // Soon after the cache is back: until then a copy in it may let an ended session pass. Attempts for an hour.
    retry: { firstDelayMs: 500, maxDelayMs: 2_000, maxAttempts: 2_400 },
  };
}

function inParts<Item>(items: Item[], size: number): Item[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, part) => items.slice(part * size, (part + 1) * size));
}
