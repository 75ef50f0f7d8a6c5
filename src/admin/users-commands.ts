import { readUserName, requireUser } from '../accounts/user-name.ts';
import { OPERATOR } from '../audit/audit-event.ts';
import type { Admin } from './open-admin.ts';
import type { BanWish } from './user-bans-service.ts';
import type { UserPage, UserPageWish } from './user-list-service.ts';
import type { AdminUser } from './user-listing.ts';
import type { UserPatch, UserWish } from './users-service.ts';

/** The id or the address of a user. */
type Named = { user: string };

type Users = Admin['users'];

/**
 * What operators can do to users on the machine. Plain JSON in, plain JSON out. All throw AppError `unavailable`, and those
 * for one user `not_found` and `validation_failed`.
 * @param open called by the first command that is run
 */
export function createUserCommands(open: () => Promise<Pick<Admin, 'users'>>) {
  return {
    'users.list': async (wish: UserPageWish): Promise<UserPage> => (await open()).users.list(wish),
    'users.show': ({ user }: Named): Promise<AdminUser> => onUser(user, async (_users, found) => found),
    'users.create': async (wish: UserWish): Promise<AdminUser> => (await open()).users.create(wish, OPERATOR),
    'users.change': ({ user, ...patch }: Named & UserPatch): Promise<AdminUser> =>
      onUser(user, (users, { id }) => users.change(id, patch, OPERATOR)),
    'users.ban': ({ user, ...wish }: Named & BanWish): Promise<AdminUser> =>
      onUser(user, (users, { id }) => users.ban(id, wish, OPERATOR)),
    'users.unban': ({ user }: Named): Promise<AdminUser> =>
      onUser(user, (users, { id }) => users.unban(id, OPERATOR)),
    'users.force-reset': ({ user }: Named): Promise<AdminUser> =>
      onUser(user, (users, { id }) => users.forceReset(id, OPERATOR)),
    'users.end-sessions': ({ user }: Named): Promise<{ ended: number }> =>
      onUser(user, (users, { id }) => users.endSessions(id, OPERATOR)),
    /** Returns who it was. */
    'users.delete': ({ user }: Named): Promise<AdminUser> =>
      onUser(user, async (users, found) => {
        await users.delete(found.id, OPERATOR);
        return found;
      }),
  };

  async function onUser<T>(user: string, act: (users: Users, found: AdminUser) => Promise<T>): Promise<T> {
    const { users } = await open();
    return act(users, await get(users, user));
  }
}

async function get(users: Users, user: string): Promise<AdminUser> {
  const name = readUserName(user, '/user');
  return 'id' in name ? users.get(name.id) : requireUser(await users.findByEmail(name.email), name);
}
