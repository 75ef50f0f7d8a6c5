import type { Platform } from '../adapters/platform.ts';
import { guardStore } from '../db/database-guard.ts';
import type { AdminFeatures } from './admin-features.ts';
import type { RolesService } from './roles-service.ts';
import { createUserBansService } from './user-bans-service.ts';
import { createUserListService } from './user-list-service.ts';
import { createUserListStore } from './user-list-store.ts';
import { createUsersService } from './users-service.ts';
import { createUsersStore } from './users-store.ts';

/** What operators see of users, and do to them. */
export function openUsers(
  { database, guard, transact, clock }: Platform,
  features: AdminFeatures,
  roles: RolesService,
) {
  const store = guardStore('admin_users', createUsersStore(), guard);
  const bans = createUserBansService({ ...features, store, transact, clock, roles });
  return {
    users: {
      ...createUserListService(guardStore('user_lists', createUserListStore(database), guard)),
      ...createUsersService({ ...features, store, transact, roles }),
      ...{ ban: bans.ban, unban: bans.unban },
    },
    sweeps: [bans.sweep],
  };
}
