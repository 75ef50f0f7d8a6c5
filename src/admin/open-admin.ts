import { nothingToClose, type Platform } from '../adapters/platform.ts';
import type { AdminFeatures } from './admin-features.ts';
import { openRoles } from './open-roles.ts';
import { openUsers } from './open-users.ts';

export type Admin = ReturnType<typeof openAdmin>;

/** What operators can do, over HTTP and by commands. */
export function openAdmin(platform: Platform, features: AdminFeatures) {
  const roles = openRoles(platform, features);
  const { users, sweeps } = openUsers(platform, features, roles);
  return { users, roles, sweeps, close: nothingToClose };
}
