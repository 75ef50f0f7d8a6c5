import { NIL } from 'uuid';
import type { Transaction } from '../db/database.ts';
import type { AuditEvent, NewAuditEvent } from './audit-event.ts';
import type { AuditStore } from './audit-store.ts';

const READ_AT_ONCE = 1_000;

export type AuditService = ReturnType<typeof createAuditService>;

/** What happened to accounts. Events are written in the transaction of what they tell, so that neither is there alone. */
export function createAuditService(store: AuditStore) {
  return {
    record: (transaction: Transaction, event: NewAuditEvent): Promise<void> =>
      store.insert(transaction, event),

    /** All events of a user, the oldest first, some at a time. @throws AppError `unavailable` */
    async *listOf(userId: string): AsyncGenerator<AuditEvent[]> {
      let events: AuditEvent[];
      for (let after: string = NIL; ; after = String(events.at(-1)?.id)) {
        events = await store.list(userId, READ_AT_ONCE, after);
        yield events;
        if (events.length < READ_AT_ONCE) return;
      }
    },

    /** Takes away what is personal in the events of an account that is being deleted. */
    forget: (transaction: Transaction, userId: string): Promise<void> => store.forget(transaction, userId),
  };
}
