import { requireUser } from '../accounts/user-name.ts';
import { validationFailed } from '../core/errors.ts';
import { NO_INSTANT, parseInstant } from '../core/instant.ts';
import { fromCursor, toCursor } from './user-cursor.ts';
import type { UserFilter, UserListStore } from './user-list-store.ts';
import { type AdminUser, toAdminUser } from './user-listing.ts';

export type UserPageWish = UserFilter & {
  limit: number;
  /** `next` of the part before. */
  after?: string | undefined;
};

/** A part of the list; `next` is where it goes on, null at its end. */
export type UserPage = { users: AdminUser[]; next: string | null };

/** What operators see of the users. */
export function createUserListService(store: UserListStore) {
  return {
    /**
     * The newest first. A part may have fewer users than the limit, even none, although the list goes on.
     * @throws AppError `validation_failed` for a cursor or an instant that is none; `unavailable`
     */
    async list({ limit, after, ...wish }: UserPageWish): Promise<UserPage> {
      const place = after === undefined ? null : fromCursor(after);
      const filter = {
        ...wish,
        createdAfter: readInstant('/created_after', wish.createdAfter),
        createdBefore: readInstant('/created_before', wish.createdBefore),
      };
      const { users, next } = await store.list(filter, limit, place);
      return { users: users.map(toAdminUser), next: next && toCursor(next) };
    },

    /** @throws AppError `not_found`, `unavailable` */
    async get(id: string): Promise<AdminUser> {
      return toAdminUser(requireUser(await store.find(id), { id }));
    },

    /** @param email canonical @throws AppError `unavailable` */
    async findByEmail(email: string): Promise<AdminUser | null> {
      const user = await store.findByEmail(email);
      return user && toAdminUser(user);
    },
  };
}

/** In the form that the database reads. */
function readInstant(path: string, text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const instant = parseInstant(text);
  if (instant === null) throw validationFailed([{ path, message: NO_INSTANT }]);
  return instant.toISOString();
}
