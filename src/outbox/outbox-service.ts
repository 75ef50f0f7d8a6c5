import { v7 as uuidv7 } from 'uuid';
import { repeat } from '../core/repeat.ts';
import type { Transaction } from '../db/database.ts';
import type { OutboxKind, OutboxMessage, OutboxStore } from './outbox-store.ts';

const RETRY_EVERY_MS = 1_000;
/** Younger ones are still being delivered by the replica that wrote them. */
const RETRY_AFTER_MS = 2_000;
const BATCH_SIZE = 100;

/** Delivers one message; safe to be called twice for the same one. */
type Deliver = (payload: unknown) => Promise<void>;

export type Deliveries = Record<OutboxKind, Deliver>;

type OutboxServiceParts = {
  store: OutboxStore;
  deliver: Deliveries;
  /** Hears of a delivery that failed; it is tried again until it succeeds. */
  onError(error: unknown): void;
};

export type OutboxService = ReturnType<typeof createOutboxService>;

/**
 * Carries what was committed to where it must go, even if the process dies in between or the other side is away: the
 * message is written in the transaction that caused it, and deleted when it has been delivered.
 */
export function createOutboxService({ store, deliver, onError }: OutboxServiceParts) {
  return {
    /** Writes the message in the transaction, and delivers it once that has been committed. */
    async send(transaction: Transaction, kind: OutboxKind, payload: unknown): Promise<void> {
      const message = { id: uuidv7(), kind, payload };
      await store.insert(transaction, message);
      transaction.afterCommit(() => deliverAll([message]).catch(onError));
    },

    retry,

    /** From now on, tries again every second what could not be delivered. */
    start: () => repeat(retry, RETRY_EVERY_MS, onError),
  };

  /** Tries what is left over, of whichever replica. Stops at the first failure: the rest would fail alike. */
  async function retry(): Promise<void> {
    for (;;) {
      const messages = await store.list(RETRY_AFTER_MS, BATCH_SIZE);
      if (messages.length > 0) await deliverAll(messages);
      if (messages.length < BATCH_SIZE) return;
    }
  }

  async function deliverAll(messages: OutboxMessage[]): Promise<void> {
    const delivered: string[] = [];
    try {
      for (const { id, kind, payload } of messages) {
        await deliver[kind](payload);
        delivered.push(id);
      }
    } finally {
      if (delivered.length > 0) await store.delete(delivered);
    }
  }
}
