import { validate as isUuid } from 'uuid';
import { AppError, validationFailed } from '../core/errors.ts';
import type { DeadMessage, LaneCount, OutboxStore } from './outbox-store.ts';

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

const REVIVED_AT_ONCE = 1_000;

export type OutboxListing = { lanes: LaneListing[]; dead: DeadListing[] };

/** What operators can do with messages that could not be delivered. Plain JSON in, plain JSON out. */
export function createOutboxCommands(store: OutboxStore) {
  return {
    /** @returns all kinds that have messages, and the 1,000 that died last */
    async list(): Promise<OutboxListing> {
      const [lanes, dead] = await Promise.all([store.count(), store.listDead()]);
      return { lanes: lanes.map(toLaneListing), dead: dead.map(toDeadListing) };
    },

    /**
     * Lets dead messages be tried again, from the first attempt on.
     * @param id left out: all of them
     * @throws AppError `not_found`, `validation_failed`
     */
    async retry({ id }: { id?: string }): Promise<{ retried: number }> {
      if (id === undefined) return { retried: await reviveAll() };
      if ((await store.revive(checkId(id), 1)) === 0) throw unknown(id);
      return { retried: 1 };
    },

    /** Deletes a dead message: it is never delivered. @throws AppError `not_found`, `validation_failed` */
    async drop({ id }: { id: string }): Promise<{ dropped: string }> {
      if (!(await store.drop(checkId(id)))) throw unknown(id);
      return { dropped: id };
    },
  };

  /** A part at a time, so that no statement takes long. */
  async function reviveAll(): Promise<number> {
    let all = 0;
    for (let some = REVIVED_AT_ONCE; some === REVIVED_AT_ONCE; all += some) {
      some = await store.revive(null, REVIVED_AT_ONCE);
    }
    return all;
  }
}

function checkId(id: string): string {
  if (isUuid(id)) return id;
  throw validationFailed([{ path: '/id', message: `${JSON.stringify(id)} is not the id of a message` }]);
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
