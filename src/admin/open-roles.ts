import type { Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import { guardStore } from '../db/database-guard.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { createRoleHoldersStore } from './role-holders-store.ts';
import { openRoleSpread } from './role-spread.ts';
import { createRolesService, type RolesService } from './roles-service.ts';
import { createRolesStore } from './roles-store.ts';

type RoleFeatures = { outbox: OutboxService; sessions: SessionService; audit: AuditService };

/** Roles and who has them, with the outbox lane that follows a change of a role. */
export function openRoles(
  { database, guard, transact }: Platform,
  { outbox, sessions, audit }: RoleFeatures,
): RolesService {
  const holders = guardStore('role_holders', createRoleHoldersStore(), guard);
  const spread = openRoleSpread({ outbox, holders, sessions, audit, transact });
  const store = guardStore('roles', createRolesStore(database), guard);
  return createRolesService({ store, holders, spread, sessions, audit, transact });
}
