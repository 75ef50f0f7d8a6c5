import { randomBytes, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import type { Cache } from '../../src/adapters/adapters.ts';
import { createMemoryCache } from '../../src/adapters/memory-cache.ts';
import { createBatch } from '../../src/core/batch.ts';
import { createDatabaseClock } from '../../src/core/clock.ts';
import { createOutboxService } from '../../src/outbox/outbox-service.ts';
import { createOutboxStore } from '../../src/outbox/outbox-store.ts';
import { createLastSeen } from '../../src/sessions/last-seen.ts';
import { createSessionCache } from '../../src/sessions/session-cache.ts';
import { createSessionService, deliverSessionsEnded } from '../../src/sessions/session-service.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { createUnknownTokens } from '../../src/sessions/unknown-tokens.ts';
import { openPostgres } from './adapters.ts';

const HOUR_MS = 3_600_000;

/** What a test may change of the sessions of a replica. */
type ReplicaOptions = {
  /** How far its own clock is off. */
  skewMs?: number;
  ttlMs?: number;
  idleTtlMs?: number;
  /** Stands before the shared cache. */
  cache?: Partial<Cache>;
};

/** Sessions on a real PostgreSQL and one cache, for any number of replicas, with time in the test's hand. */
export async function openSessions(t: Test) {
  const opened = await openPostgres();
  const { database, transact, moveTime } = opened;
  let passedMs = 0;
  const now = () => Date.now() + passedMs;
  const memory = createMemoryCache(now);
  const store = createSessionStore(database);
  const find = createBatch(store.findAll, 100);
  const accounts = createAccountStore(database);
  const counted = { loads: 0, noted: 0 };
  const cacheErrors: unknown[] = [];

  function createReplica({ skewMs = 0, cache, ...ttls }: ReplicaOptions = {}) {
    const clock = createDatabaseClock(() => now() + skewMs);
    const load = async (tokenHash: Buffer) => {
      counted.loads += 1;
      const found = await find(tokenHash);
      if (found !== null) clock.observe(found.databaseNow);
      return found?.record ?? null;
    };
    const { ttlMs = 2 * HOUR_MS, idleTtlMs = HOUR_MS } = ttls;
    const touch = async (ids: string[]) => {
      counted.noted += ids.length;
      await store.touch(ids, idleTtlMs);
    };
    const lastSeen = createLastSeen(touch, t.error);
    t.teardown(lastSeen.close);
    const sessionCache = createSessionCache({ cache: { ...memory, ...cache }, load, now: clock.now });
    const outbox = createOutboxService({
      store: createOutboxStore(database),
      deliver: { sessions_ended: (payload) => deliverSessionsEnded(sessionCache, payload) },
      onError: (error) => void cacheErrors.push(error),
    });
    const sessions = createSessionService({
      store,
      cache: sessionCache,
      outbox,
      unknownTokens: createUnknownTokens(createMemoryCache(now)),
      transact,
      clock,
      lastSeen,
      ttlMs,
      idleTtlMs,
    });
    return { sessions, outbox, flush: lastSeen.flush };
  }

  return {
    ...opened,
    memory,
    store,
    accounts,
    counted,
    cacheErrors,
    createReplica,
    /** Lets time pass everywhere: in the database, the cache and every replica. */
    passTime: async (ms: number) => {
      passedMs += ms;
      await moveTime(ms);
    },
    /** A user whose password nobody knows. Returns the id. */
    addUser: async () => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      const user = { id, email, emailAsTyped: email, passwordHash: randomBytes(16).toString('hex') };
      await transact((transaction) => accounts.insert(transaction, user));
      return id;
    },
  };
}
