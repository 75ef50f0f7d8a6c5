import { nothingToClose, type Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { createMissLimit } from '../cache/miss-limit.ts';
import { guardStore } from '../db/database-guard.ts';
import type { TokenService } from '../tokens/token-service.ts';
import type { TokenStatusService } from '../tokens/token-status-service.ts';
import { createClientCommands } from './client-commands.ts';
import { createClientService } from './client-service.ts';
import { createClientStore } from './client-store.ts';
import { createIntrospectionService } from './introspection-service.ts';

type Tokens = { service: TokenService; statuses: TokenStatusService };

/** Service clients, and introspection for them. */
export function openOAuth(
  { config, database, guard, clock }: Platform,
  { service: tokens, statuses }: Tokens,
) {
  const service = createClientService({
    store: guardStore('clients', createClientStore(database), guard),
    statuses,
    tokens,
    failures: createMissLimit(clock.local),
    issuer: config.PUBLIC_URL,
    takesEndpoint: config.CLIENT_ASSERTION_AUDIENCE === 'endpoint',
    now: clock.now,
  });
  const introspection = createIntrospectionService({ tokens, statuses });
  return { service, introspection, sweeps: [], close: nothingToClose };
}

/**
 * What operators can do to the service clients.
 * @param audit where each change is written down
 * @param reservedIds ids that are the `client_id` of other kinds of tokens, beside CLIENT_ID
 */
export function openClientCommands(platform: Platform, audit: AuditService, reservedIds: string[]) {
  const { config, database, guard, transact, revocations } = platform;
  return createClientCommands({
    store: guardStore('clients', createClientStore(database), guard),
    transact,
    revocations,
    audit,
    audiences: [...config.AUDIENCES, config.PUBLIC_URL],
    reservedIds: [config.CLIENT_ID, ...reservedIds],
  });
}
