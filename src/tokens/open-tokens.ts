import { nothingToClose, type Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import type { FindKey } from '../keys/key-lookup.ts';
import type { KeyService } from '../keys/key-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createTokenService } from './token-service.ts';
import { createTokenStatusService } from './token-status-service.ts';
import { createTokenStatusStore } from './token-status-store.ts';

type Below = { sessions: SessionService; keys: { service: KeyService; findKey: FindKey } };

/** Tokens: `service` makes and verifies them, `statuses` knows whether they are still valid. */
export function openTokens(platform: Platform, { sessions, keys }: Below) {
  const { config, database, guard, transact, revocations, clock } = platform;
  const service = createTokenService({
    sessions,
    keys: keys.service,
    findKey: keys.findKey,
    now: clock.now,
    issuer: config.PUBLIC_URL,
    clientId: config.CLIENT_ID,
    audiences: config.AUDIENCES,
    defaultAudience: config.DEFAULT_AUDIENCE,
    ttlMs: config.ACCESS_TOKEN_TTL,
    reuseMs: config.ACCESS_TOKEN_REUSE,
  });
  const store = guardStore('tokenStatuses', createTokenStatusStore(database), guard);
  const statuses = createTokenStatusService({ store, transact, revocations });
  return { service, statuses, sweeps: [store.sweep], close: nothingToClose };
}
