import { inParts } from '../core/parts.ts';
import type { SessionHistoryStore, StoredSession } from './session-history-store.ts';

export type SessionHistory = ReturnType<typeof createSessionHistory>;

/** What is stored of a user's sessions, those that have ended included. */
export function createSessionHistory(store: SessionHistoryStore) {
  return {
    /** The oldest first, some at a time. @throws AppError `unavailable` */
    listOf: (userId: string): AsyncGenerator<StoredSession[]> =>
      inParts((limit, after) => store.list(userId, limit, after)),
  };
}
