import type { AuditService } from '../audit/audit-service.ts';
import { AppError } from '../core/errors.ts';
import { createTurnsByKey } from '../core/turns.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { AccountStore } from './account-store.ts';
import { type ProfilePatch, patchProfile } from './profile-rules.ts';
import type { ProfileStore } from './profile-store.ts';
import type { User } from './user.ts';

type ProfileServiceParts = {
  accounts: AccountStore;
  store: ProfileStore;
  audit: AuditService;
  transact: Transact;
};

export type ProfileService = ReturnType<typeof createProfileService>;

/** What users see and change of their own account. */
export function createProfileService({ accounts, store, audit, transact }: ProfileServiceParts) {
  // Of one user one at a time: those that wait for the row's lock would each hold a database connection.
  const inTurn = createTurnsByKey<string>();

  return {
    /** @throws AppError `not_signed_in` when the account is gone; `unavailable` */
    async get(userId: string): Promise<User> {
      return existing(await accounts.findById(userId));
    },

    /**
     * Changes what the patch names. The row is locked from reading to writing, so that of two patches at the same time
     * neither undoes the other. The record of what happened has the names of what was changed, not the values.
     * @throws AppError `validation_failed`; `not_signed_in` when the account is gone; `unavailable`
     */
    change(session: SessionRecord, patch: ProfilePatch, device: Device): Promise<User> {
      const work = (transaction: Transaction) => changeIn(transaction, session, patch, device);
      return inTurn(session.userId, () => transact(work));
    },
  };

  async function changeIn(
    transaction: Transaction,
    { userId, id: sessionId }: SessionRecord,
    patch: ProfilePatch,
    device: Device,
  ): Promise<User> {
    const user = existing(await store.lock(transaction, userId));
    const { profile, changed } = patchProfile(user, patch);
    if (changed.length === 0) return user;
    await store.save(transaction, userId, profile);
    await audit.record(transaction, {
      kind: 'account.profile_changed',
      ...{ userId, actorId: userId, sessionId, device },
      details: { changed },
    });
    return { ...user, ...profile };
  }
}

function existing(user: User | null): User {
  if (user === null) throw new AppError('not_signed_in');
  return user;
}
