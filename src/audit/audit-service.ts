import type { Clock } from '../core/clock.ts';
import { inParts } from '../core/parts.ts';
import type { Transaction } from '../db/database.ts';
import type { AuditEvent, NewAuditEvent, RecordedEvent } from './audit-event.ts';
import { type AuditPage, type AuditQuery, readAuditQuery, toListedEvent } from './audit-listing.ts';
import type { AuditStore } from './audit-store.ts';
import type { BackgroundEvents } from './background-events.ts';
import { createEventIds } from './event-ids.ts';

/** Called with each event, in the transaction that writes it. */
type AuditListener = (transaction: Transaction, event: RecordedEvent) => Promise<void>;

export type AuditService = ReturnType<typeof createAuditService>;

/**
 * What happened, to accounts and to the server. Events are written in the transaction of what they tell, so that neither is
 * there alone; `note` is for those that tell of nothing that was done.
 * @param now by the database's clock
 */
export function createAuditService(
  store: AuditStore,
  background: Pick<BackgroundEvents, 'note'>,
  now: Clock,
) {
  const makeId = createEventIds(now);
  let listener: AuditListener | null = null;

  return {
    /** Takes an event that belongs to no transaction, and returns at once. It is written within a second, or lost. */
    note: background.note,

    /**
     * Sends an event to the database, and does not wait for the answer: the transaction does, before its commit, and fails
     * if this has failed. The act costs no round trip more, if it has a statement to send after this.
     */
    async record(transaction: Transaction, event: NewAuditEvent): Promise<void> {
      const id = makeId();
      transaction.alongside(store.insert(transaction, event, id));
      if (listener !== null) transaction.alongside(listener(transaction, { id, ...event }));
    },

    /** Writes events that were taken by `note`, but for those of accounts that are gone. */
    async recordNoted(transaction: Transaction, events: NewAuditEvent[]): Promise<void> {
      const recorded = events.map((event) => ({ id: makeId(), ...event }));
      await store.insertLate(transaction, recorded);
      await Promise.all(recorded.map((event) => listener?.(transaction, event)));
    },

    /** Has what happens told to others as well: with each event, a message to them is written or neither is. */
    listen(heard: AuditListener): void {
      listener = heard;
    },

    /** @throws AppError `unavailable` */
    find: (id: string): Promise<AuditEvent | null> => store.find(id),

    /** All events of a user, the oldest first, some at a time. @throws AppError `unavailable` */
    listOf: (userId: string): AsyncGenerator<AuditEvent[]> =>
      inParts((limit, after) => store.list(userId, limit, after)),

    /**
     * Events of all users, for operators: a part of them, the newest first if not said otherwise.
     * @throws AppError `validation_failed`, `unavailable`
     */
    async list(query: AuditQuery): Promise<AuditPage> {
      const wish = readAuditQuery(query);
      const events = (await store.page(wish)).map(toListedEvent);
      return { events, next: events.length < wish.limit ? null : String(events.at(-1)?.id) };
    },

    /** Takes away what is personal in the events of an account whose row has just been deleted. */
    forget: (transaction: Transaction, userId: string): Promise<void> => store.forget(transaction, userId),
  };
}
