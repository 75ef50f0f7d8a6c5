import type { openAccounts } from '../accounts/open-accounts.ts';
import { nothingToClose, type Platform } from '../adapters/platform.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { guardStore } from '../db/database-guard.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { OutboxService } from '../outbox/outbox-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { openRoles } from './open-roles.ts';
import { createUserListService } from './user-list-service.ts';
import { createUserListStore } from './user-list-store.ts';

/** The features below that operators use. */
export type AdminFeatures = {
  outbox: OutboxService;
  sessions: SessionService;
  audit: AuditService;
  mail: MailService;
  codes: CodeService;
  accounts: ReturnType<typeof openAccounts>;
};

export type Admin = ReturnType<typeof openAdmin>;

/** What operators can do, over HTTP and by commands. */
export function openAdmin(platform: Platform, features: AdminFeatures) {
  const { database, guard } = platform;
  const list = createUserListService(guardStore('user_lists', createUserListStore(database), guard));
  const roles = openRoles(platform, features);
  return { users: { ...list }, roles, sweeps: [], close: nothingToClose };
}
