import { requireUser } from '../accounts/user-name.ts';
import { type Actor, byActor, SERVER } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { DatabaseClock } from '../core/clock.ts';
import { validationFailed } from '../core/errors.ts';
import { parseInstant } from '../core/instant.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { RolesService } from './roles-service.ts';
import { type AdminUser, type ListedUser, toAdminUser } from './user-listing.ts';
import type { Ban, UsersStore } from './users-store.ts';

/** `until` is RFC 3339; null or left out: the ban does not end by itself. */
export type BanWish = { reason?: string | null; until?: string | null };

type UserBansParts = {
  store: UsersStore;
  sessions: SessionService;
  audit: AuditService;
  transact: Transact;
  clock: DatabaseClock;
  roles: Pick<RolesService, 'requireOtherAdmin' | 'requireReach'>;
};

/** Each is an event of its own in the same transaction. */
const ENDED_AT_ONCE = 100;

/** Bans: whoever has one has no session, and gets none. */
export function createUserBansService(parts: UserBansParts) {
  const { store, sessions, audit, transact, clock, roles } = parts;

  return {
    /**
     * Bans a user, whose sessions end at once. Another ban takes the place of the one before.
     * @throws AppError `not_found`; `validation_failed` for an `until` that is no instant of the future; `last_admin`,
     *   those of `requireReach`, `unavailable`
     */
    async ban(id: string, wish: BanWish, actor: Actor): Promise<AdminUser> {
      const ban = { reason: wish.reason ?? null, until: readUntil(wish.until ?? null, clock.now()) };
      await transact(async (transaction) => {
        await lock(transaction, id);
        await roles.requireOtherAdmin(transaction, id);
      });
      await sessions.endSurplus(id, null, 'banned', actor);
      return transact((transaction) => banIn(transaction, id, ban, actor));
    },

    /** Ends a ban; does nothing to whoever has none. @throws AppError `not_found`, those of `requireReach`, `unavailable` */
    unban(id: string, actor: Actor): Promise<AdminUser> {
      return transact(async (transaction) => {
        const before = await lock(transaction, id);
        if (before.status === 'active') return toAdminUser(before);
        await roles.requireReach(transaction, before, actor);
        await store.unban(transaction, [id]);
        const details = { before: banOf(before) };
        await audit.record(transaction, { kind: 'account.unbanned', userId: id, ...byActor(actor), details });
        return toAdminUser(await lock(transaction, id));
      });
    },

    /**
     * Takes bans that are over out of the rows; they hold nobody off any more since then.
     * @returns `limit` when there may be more of them, so that the next ones follow in a transaction of their own
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      const ids = await store.lockOverBans(transaction, ENDED_AT_ONCE);
      if (ids.length > 0) await store.unban(transaction, ids);
      for (const userId of ids)
        await audit.record(transaction, { kind: 'account.unbanned', userId, ...byActor(SERVER) });
      return ids.length === ENDED_AT_ONCE ? limit : ids.length;
    },
  };

  async function banIn(transaction: Transaction, id: string, ban: Ban, actor: Actor): Promise<AdminUser> {
    const before = await lock(transaction, id);
    if (isSame(before, ban)) return toAdminUser(before);
    // The new one may end sooner.
    if (before.status === 'banned') await roles.requireReach(transaction, before, actor);
    await roles.requireOtherAdmin(transaction, id);
    await store.ban(transaction, id, ban);
    // By the id of the row: the feed of revocations hashes its letters.
    await sessions.endAllIn(transaction, before.id, null, 'banned', actor);
    const after = await lock(transaction, id);
    await audit.record(transaction, {
      ...{ kind: 'account.banned', userId: id, ...byActor(actor) },
      details: { before: banOf(before), after: banOf(after) },
    });
    return toAdminUser(after);
  }

  async function lock(transaction: Transaction, id: string): Promise<ListedUser> {
    return requireUser(await store.lock(transaction, id), { id });
  }
}

function isSame({ status, banReason, bannedUntil }: ListedUser, { reason, until }: Ban): boolean {
  return status === 'banned' && banReason === reason && Number(bannedUntil) === Number(until);
}

/** What the audit says of a ban; null if there is none. */
function banOf(user: ListedUser) {
  const { status, ban_reason: reason, banned_until: until } = toAdminUser(user);
  return status === 'active' ? null : { reason, until };
}

/** @param now in milliseconds since the epoch */
function readUntil(text: string | null, now: number): Date | null {
  if (text === null) return null;
  const until = parseInstant(text);
  if (until !== null && until.getTime() > now) return until;
  throw validationFailed([
    { path: '/until', message: 'must be an instant of the future, such as 2030-01-31T12:00:00Z' },
  ]);
}
