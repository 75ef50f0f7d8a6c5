import { FRESH_MS, KEEP_MS } from '../../src/sessions/session-cache.ts';
import { SEEN_EVERY_MS } from '../../src/sessions/session-rules.ts';

/** What a look-up finds in the cache: an entry that may be used, one that must be read again, or none. */
export type Found = 'fresh' | 'stale' | 'none';

/** One look-up of a session. `note`: whether its use is put on the list of uses; `isDue`: whether that changes the row. */
export type LookUp = { found: Found; note: boolean; isDue: boolean };

type State = { writtenAt: number; copySeenAt: number; rowSeenAt: number };

/**
 * What the cache and the rows know of sessions, by the server's own times (src/sessions/). A session of which nothing is
 * known here was last used long before.
 */
export function createSessionStates() {
  const states = new Map<number, State>();

  return {
    /** @param isReachable whether Redis answers; without it each look-up reads the row, and nothing is written */
    lookUp(session: number, now: number, isReachable = true): LookUp {
      const state = states.get(session) ?? {
        writtenAt: -Infinity,
        copySeenAt: -Infinity,
        rowSeenAt: -Infinity,
      };
      const found = isReachable ? foundAt(now - state.writtenAt) : 'none';
      if (found !== 'fresh') {
        if (isReachable) state.writtenAt = now;
        state.copySeenAt = state.rowSeenAt;
      }
      const note = now - state.copySeenAt >= SEEN_EVERY_MS;
      const isDue = note && now - state.rowSeenAt >= SEEN_EVERY_MS;
      if (isDue) state.rowSeenAt = now;
      states.set(session, state);
      return { found, note, isDue };
    },
    /** As after a sign-in: the row was just written, and so was the entry. */
    start(session: number, now: number): void {
      states.set(session, { writtenAt: now, copySeenAt: now, rowSeenAt: now });
    },
    end: (session: number) => void states.delete(session),
    /** Redis has lost all of it. */
    forgetEntries(): void {
      for (const state of states.values()) state.writtenAt = -Infinity;
    },
    /** Entries that Redis still has. */
    entries(now: number): number {
      let count = 0;
      for (const { writtenAt } of states.values()) if (now - writtenAt < KEEP_MS) count += 1;
      return count;
    },
  };
}

function foundAt(ageMs: number): Found {
  if (ageMs < FRESH_MS) return 'fresh';
  return ageMs < KEEP_MS ? 'stale' : 'none';
}
