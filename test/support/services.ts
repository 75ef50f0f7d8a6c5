import { randomBytes, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { createAccountStore } from '../../src/accounts/account-store.ts';
import { openAudit } from '../../src/audit/open-audit.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { createMemoryCache } from '../../src/cache/memory-cache.ts';
import type { Transact } from '../../src/db/database.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openSessions as openReplica } from '../../src/sessions/open-sessions.ts';
import { createSessionStore } from '../../src/sessions/session-store.ts';
import { openPostgres } from './adapters.ts';
import { createPlatform, keepErrors } from './platform.ts';

const HOUR_MS = 3_600_000;

/** What a test may change in the sessions of a replica. */
type ReplicaOptions = {
  /** The error of its own clock. */
  skewMs?: number;
  ttlMs?: number;
  idleTtlMs?: number;
  /** Wraps the shared cache. */
  cache?: Partial<Cache>;
  transact?: Transact;
  /** SESSIONS_PER_USER. */
  mostPerUser?: number;
};

/** Sessions on a real PostgreSQL and one cache, for any number of replicas. The test can move the time. */
export async function openSessions(t: Test) {
  const opened = await openPostgres();
  const { database, transact, moveTime } = opened;
  let passedMs = 0;
  const now = () => Date.now() + passedMs;
  const memory = createMemoryCache(now);
  const keyEncryptionKey = randomBytes(32);
  const store = createSessionStore(database);
  const accounts = createAccountStore(database);
  const counted = { loads: 0, noted: 0 };
  const cacheErrors: unknown[] = [];
  const table = {
    ...store,
    findAll: async (tokenHashes: Buffer[]) => {
      counted.loads += tokenHashes.length;
      return store.findAll(tokenHashes);
    },
    touch: async (ids: string[], idleTtlMs: number) => {
      counted.noted += ids.length;
      await store.touch(ids, idleTtlMs);
    },
  };

  function createReplica({
    skewMs = 0,
    cache,
    transact = opened.transact,
    ttlMs = 2 * HOUR_MS,
    idleTtlMs = HOUR_MS,
    mostPerUser = 100,
  }: ReplicaOptions = {}) {
    const platform = createPlatform(database, {
      config: { SESSION_TTL: ttlMs, SESSION_IDLE_TTL: idleTtlMs, SESSIONS_PER_USER: mostPerUser },
      local: () => now() + skewMs,
      transact,
      cache: { ...memory, ...cache },
      keyEncryptionKey,
      log: keepErrors(cacheErrors),
    });
    const { service: outbox } = openOutbox(platform);
    const { service: audit } = openAudit(platform);
    const { service: sessions, lastSeen, close } = openReplica(platform, { outbox, audit }, table);
    t.teardown(close);
    return { sessions, outbox, audit, clock: platform.clock, flush: lastSeen.flush };
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
    /** Makes a user without a usable password. Returns the id. */
    addUser: async () => {
      const id = randomUUID();
      const email = `${id}@example.com`;
      const user = { id, email, emailAsTyped: email, passwordHash: randomBytes(16).toString('hex') };
      await transact((transaction) => accounts.insert(transaction, user));
      return id;
    },
  };
}
