import { validate as isUuid } from 'uuid';
import { AppError, validationFailed } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { DeadMessage, DeadWish, LaneCount, MessageName, OutboxStore } from './outbox-store.ts';

/** The messages of one kind, as operators and their programs see them. Instants are RFC 3339 in UTC. */
export type LaneListing = { kind: string; waiting: number; oldest_at: string | null; dead: number };

/** A message after its last attempt. Its payload stays where it is: it may hold what is secret. */
export type DeadListing = {
  id: string;
  kind: string;
  attempts: number;
  created_at: string;
  dead_at: string;
  last_error: string | null;
};

/** Writes down in the same transaction what is done to dead messages, and who does it. */
export type NoteAct = (
  transaction: Transaction,
  act: { kind: 'outbox.retried' | 'outbox.dropped'; details: { lane?: string; id?: string; count?: number } },
) => Promise<void>;

const REVIVED_AT_ONCE = 1_000;

export type OutboxListing = { lanes: LaneListing[]; dead: DeadListing[] };

/** What operators can do with messages that could not be delivered. Plain JSON in, plain JSON out. */
export function createOutboxCommands({ store, transact }: { store: OutboxStore; transact: Transact }) {
  return {
    /** @returns all kinds that have messages, and the 1,000 that died last */
    async list(): Promise<OutboxListing> {
      const [lanes, dead] = await Promise.all([store.count(), store.listDead()]);
      return { lanes: lanes.map(toLaneListing), dead: dead.map(toDeadListing) };
    },

    /** Dead messages, the latest first. */
    listDead: (wish: DeadWish): Promise<DeadMessage[]> => store.listDead(wish),

    /**
     * Lets dead messages be tried again, from the first attempt on.
     * @param id left out: all of them
     * @throws AppError `not_found`, `validation_failed`
     */
    async retry({ id }: { id?: string }, note: NoteAct): Promise<{ retried: number }> {
      if (id === undefined) return { retried: await reviveAll(note) };
      await transact(async (transaction) => {
        const [revived] = await store.revive(transaction, checkId(id), 1);
        await note(transaction, { kind: 'outbox.retried', details: detailsOf(revived, id) });
      });
      return { retried: 1 };
    },

    /** Deletes a dead message: it is never delivered. @throws AppError `not_found`, `validation_failed` */
    async drop({ id }: { id: string }, note: NoteAct): Promise<{ dropped: string }> {
      await transact(async (transaction) => {
        const dropped = await store.drop(transaction, checkId(id));
        await note(transaction, { kind: 'outbox.dropped', details: detailsOf(dropped, id) });
      });
      return { dropped: id };
    },
  };

  /** A part at a time, so that no statement takes long. */
  async function reviveAll(note: NoteAct): Promise<number> {
    let all = 0;
    for (let some = REVIVED_AT_ONCE; some === REVIVED_AT_ONCE; all += some) some = await reviveSome(note);
    return all;
  }

  async function reviveSome(note: NoteAct): Promise<number> {
    return transact(async (transaction) => {
      const { length: count } = await store.revive(transaction, null, REVIVED_AT_ONCE);
      if (count > 0) await note(transaction, { kind: 'outbox.retried', details: { count } });
      return count;
    });
  }
}

function checkId(id: string): string {
  if (isUuid(id)) return id;
  throw validationFailed([{ path: '/id', message: `${JSON.stringify(id)} is not the id of a message` }]);
}

/** @throws AppError `not_found` for no message */
function detailsOf(message: MessageName | undefined, id: string) {
  if (message === undefined) throw unknown(id);
  return { id: message.id, lane: message.kind };
}

function unknown(id: string): AppError {
  return new AppError('not_found', { detail: `There is no dead message ${id}.` });
}

function toLaneListing({ kind, waiting, oldestAt, dead }: LaneCount): LaneListing {
  return { kind, waiting, oldest_at: oldestAt?.toISOString() ?? null, dead };
}

function toDeadListing({ id, kind, attempts, createdAt, deadAt, lastError }: DeadMessage): DeadListing {
  const times = { created_at: createdAt.toISOString(), dead_at: deadAt.toISOString() };
  return { id, kind, attempts, ...times, last_error: lastError };
}
