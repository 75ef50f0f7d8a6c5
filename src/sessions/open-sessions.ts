import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { createMissLimit } from '../cache/miss-limit.ts';
import { createBatch } from '../core/batch.ts';
import { warning } from '../core/log.ts';
import { guardStore } from '../db/database-guard.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import { createLastSeen } from './last-seen.ts';
import { createSessionCache } from './session-cache.ts';
import { createSessionHistory } from './session-history.ts';
import { createSessionHistoryStore } from './session-history-store.ts';
import { createSessionService } from './session-service.ts';
import { createSessionStore, type SessionStore } from './session-store.ts';
import { sessionsEndedLane } from './sessions-ended.ts';

type Features = { outbox: OutboxService; audit: AuditService };

/** Sessions in one statement: with more of them, the first one would wait longer. */
const SESSIONS_AT_ONCE = 100;

/**
 * Sessions: the rows, their copies in the cache, and the batches of look-ups and writes.
 * @param table for tests that watch or hold what is asked of the database's own
 */
export function openSessions(
  platform: Platform,
  { outbox, audit }: Features,
  table: SessionStore = createSessionStore(platform.database),
) {
  const { config, guard, transact, cache, seal, clock, log } = platform;
  const store = guardStore('sessions', table, guard);
  const findSession = createBatch(store.findAll, SESSIONS_AT_ONCE);
  const sessionCache = createSessionCache({
    cache,
    seal,
    now: clock.now,
    load: async (tokenHash) => {
      const found = await findSession(tokenHash);
      if (found === null) return null;
      clock.observe(found.databaseNow);
      return found.record;
    },
  });
  const lastSeen = createLastSeen(
    (sessionIds) => store.touch(sessionIds, config.SESSION_IDLE_TTL),
    warning(log, 'could not note when sessions were last seen'),
  );
  const service = createSessionService({
    store,
    cache: sessionCache,
    ended: outbox.openLane(sessionsEndedLane(sessionCache)),
    audit,
    revocations: platform.revocations,
    missLimit: createMissLimit(clock.local),
    transact,
    clock,
    lastSeen,
    ttlMs: config.SESSION_TTL,
    idleTtlMs: config.SESSION_IDLE_TTL,
    mostPerUser: config.SESSIONS_PER_USER,
  });
  const historyStore = guardStore('session-history', createSessionHistoryStore(platform.database), guard);
  const history = createSessionHistory(historyStore);
  return { service, history, lastSeen, sweeps: [store.sweep], close: lastSeen.close };
}
