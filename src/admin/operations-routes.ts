import type { FastifyPluginAsync } from 'fastify';
import type { AuditService } from '../audit/audit-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { adminAuditRoutes } from './audit-routes.ts';
import { adminClientsRoutes } from './clients-routes.ts';
import { adminKeysRoutes } from './keys-routes.ts';
import type { Admin } from './open-admin.ts';
import type { Operations } from './open-operations.ts';
import { adminOutboxRoutes } from './outbox-routes.ts';
import { adminOverviewRoutes } from './overview-routes.ts';
import type { RequireOperator } from './require-operator.ts';
import { adminSessionsRoutes } from './sessions-routes.ts';

type Parts = {
  users: Admin['users'];
  audit: AuditService;
  sessions: SessionService;
  operations: Operations;
  requireOperator: RequireOperator;
};

/** The routes under `/admin` that are not about users. */
export const operationsRoutes: FastifyPluginAsync<Parts> = async (
  app,
  { users, audit, sessions, operations, requireOperator },
) => {
  const { clients, keys, outbox } = operations;
  await app.register(adminSessionsRoutes, { sessions, users, requireOperator });
  await app.register(adminClientsRoutes, { clients, requireOperator });
  await app.register(adminKeysRoutes, { keys, requireOperator });
  await app.register(adminOutboxRoutes, { outbox, requireOperator });
  await app.register(adminAuditRoutes, { audit, requireOperator });
  await app.register(adminOverviewRoutes, { operations, requireOperator });
};
