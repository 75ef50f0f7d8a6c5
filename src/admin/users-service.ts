import { v7 as uuidv7 } from 'uuid';
import { sendCodeMail } from '../accounts/code-mail.ts';
import type { openAccounts } from '../accounts/open-accounts.ts';
import { NO_PROFILE, type ProfilePatch, patchProfile } from '../accounts/profile-rules.ts';
import { requireUser } from '../accounts/user-name.ts';
import { type Actor, byActor } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService } from '../codes/code-service.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import { type MailService, requireMail } from '../mail/mail-service.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { RolesService } from './roles-service.ts';
import { changesOf, differs } from './user-changes.ts';
import { type AdminUser, type ListedUser, toAdminUser } from './user-listing.ts';
import type { MadeUser, UsersStore } from './users-store.ts';

/** An account to be made; null is as good as left out. */
export type UserWish = ProfilePatch & {
  email: string;
  email_verified?: boolean;
  /** Left out: there is none, and a code by mail sets one. */
  password?: string;
  roles?: string[];
  /** Whether a mail with a code to set the password goes out. */
  invite?: boolean;
};

/** What is left out stays. Another address is not verified unless this says so. */
export type UserPatch = ProfilePatch & { email?: string; email_verified?: boolean; roles?: string[] };

export type UsersServiceParts = {
  store: UsersStore;
  accounts: Pick<ReturnType<typeof openAccounts>, 'rules' | 'hasher' | 'deletions' | 'emailChange'>;
  roles: Pick<RolesService, 'setRoles' | 'requireOtherAdmin' | 'requireMachineForAdmin'>;
  sessions: SessionService;
  audit: AuditService;
  codes: CodeService;
  mail: MailService;
  transact: Transact;
};

/** The code goes to somebody who has not asked for it. */
const FORCED_RESET_LIFE_MS = 24 * 3_600_000;

/** What operators do to users. Each act is in the audit with who did it, what was before, and what is after. */
export function createUsersService(parts: UsersServiceParts) {
  const { store, accounts, roles, sessions, audit, codes, mail, transact } = parts;
  const { rules, hasher, deletions, emailChange } = accounts;

  return {
    /**
     * Makes an account.
     * @throws AppError `validation_failed`, `email_taken`; `not_found` for an invitation where no mails can be sent; those
     *   of `setRoles`; `overloaded`, `unavailable`
     */
    async create(wish: UserWish, actor: Actor): Promise<AdminUser> {
      if (wish.invite === true) requireMail(mail);
      const { canonical: email, asTyped: emailAsTyped } = rules.readEmail(wish.email);
      const { profile } = patchProfile(NO_PROFILE, wish);
      const passwordHash = wish.password === undefined ? null : await hashNew(wish.password, email);
      const isVerified = wish.email_verified === true;
      const made = { id: uuidv7(), email, emailAsTyped, isVerified, passwordHash, ...profile };
      return transact((transaction) => createIn(transaction, made, wish, actor));
    },

    /**
     * Changes what the patch names. Of another address, the former one is told, with a code that undoes it.
     * @throws AppError `not_found`, `validation_failed`, `email_taken`, those of `setRoles` and of
     *   `requireMachineForAdmin`; `unavailable`
     */
    change: (id: string, patch: UserPatch, actor: Actor): Promise<AdminUser> =>
      transact((transaction) => changeIn(transaction, id, patch, actor)),

    /**
     * Takes the password away and ends all sessions. The way back is a code, which goes to the address.
     * @throws AppError `not_found`, also where no mails can be sent; `unavailable`
     */
    async forceReset(id: string, actor: Actor): Promise<AdminUser> {
      requireMail(mail);
      await sessions.endSurplus(id, null, 'reset_forced', actor);
      return transact((transaction) => forceResetIn(transaction, id, actor));
    },

    /** Ends all sessions. @returns how many @throws AppError `not_found`, `unavailable` */
    async endSessions(id: string, actor: Actor): Promise<{ ended: number }> {
      await transact((transaction) => lock(transaction, id));
      return { ended: await sessions.endOthers(id, null, 'ended_by_operator', actor) };
    },

    /** Deletes the account at once, without a delay. @throws AppError `not_found`, `last_admin`, `unavailable` */
    delete: (id: string, actor: Actor): Promise<void> =>
      deletions.deleteBy(actor, id, (transaction) => roles.requireOtherAdmin(transaction, id)),
  };

  async function hashNew(password: string, email: string): Promise<string> {
    await hasher.requireRoom();
    await rules.requireGoodPassword(password, email);
    return hasher.hash(password);
  }

  async function createIn(
    transaction: Transaction,
    made: MadeUser,
    wish: UserWish,
    actor: Actor,
  ): Promise<AdminUser> {
    if (!(await store.insert(transaction, made))) throw new AppError('email_taken');
    const { id, email, passwordHash } = made;
    const after = { email, has_password: passwordHash !== null, email_verified: made.isVerified };
    await audit.record(transaction, {
      ...{ kind: 'account.created', userId: id, ...byActor(actor) },
      details: { after, invited: wish.invite === true },
    });
    await roles.setRoles(transaction, id, wish.roles ?? [], actor);
    if (wish.invite === true) await invite(transaction, made);
    return toAdminUser(await lock(transaction, id));
  }

  async function invite(transaction: Transaction, { id: userId, email, locale }: MadeUser): Promise<void> {
    const wish = { userId, email, purpose: 'invitation' } as const;
    await sendCodeMail(transaction, parts, { template: 'invitation', wish, locale, more: {} });
  }

  async function changeIn(
    transaction: Transaction,
    id: string,
    patch: UserPatch,
    actor: Actor,
  ): Promise<AdminUser> {
    const before = await lock(transaction, id);
    const { profile } = patchProfile(before, patch);
    const address = patch.email === undefined ? null : rules.readEmail(patch.email);
    const isMoved = address !== null && address.canonical !== before.email;
    if (isMoved) {
      await roles.requireMachineForAdmin(transaction, before, actor);
      await move(transaction, before, { email: address.canonical, asTyped: address.asTyped }, actor);
    }
    const isVerified = patch.email_verified ?? (!isMoved && before.emailVerifiedAt !== null);
    const emailAsTyped = address?.asTyped ?? before.emailAsTyped;
    const wanted = { ...profile, emailAsTyped, isVerified };
    if (isMoved || differs(before, wanted)) await store.change(transaction, id, wanted);
    const after = await lock(transaction, id);
    await note(transaction, before, after, actor);
    if (patch.roles === undefined) return toAdminUser(after);
    await roles.setRoles(transaction, id, patch.roles, actor);
    return toAdminUser(await lock(transaction, id));
  }

  async function move(
    transaction: Transaction,
    { id: userId, email: from }: ListedUser,
    address: { email: string; asTyped: string },
    actor: Actor,
  ): Promise<void> {
    await emailChange.changeBy(transaction, { userId, ...address });
    const event = { kind: 'email.changed', userId, ...byActor(actor) } as const;
    await audit.record(transaction, { ...event, details: { from, to: address.email } });
  }

  /** Tokens say the address and whether it is verified. */
  async function note(
    transaction: Transaction,
    before: ListedUser,
    after: ListedUser,
    actor: Actor,
  ): Promise<void> {
    const changes = changesOf(toAdminUser(before), toAdminUser(after));
    if (changes === null) return;
    const { id: userId } = after;
    await audit.record(transaction, {
      ...{ kind: 'account.changed', userId, ...byActor(actor) },
      details: changes,
    });
    if ('email' in changes.after || 'email_verified' in changes.after)
      await sessions.claimsChanged(transaction, userId);
  }

  async function forceResetIn(transaction: Transaction, id: string, actor: Actor): Promise<AdminUser> {
    const before = await lock(transaction, id);
    await store.dropPassword(transaction, id);
    await codes.spendAll(transaction, id);
    // By the id of the row: the feed of revocations hashes its letters.
    await sessions.endAllIn(transaction, before.id, null, 'reset_forced', actor);
    await audit.record(transaction, {
      ...{ kind: 'password.reset_forced', userId: id, ...byActor(actor) },
      details: { before: { has_password: before.hasPassword }, after: { has_password: false } },
    });
    const { email, locale } = before;
    const wish = { userId: id, email, purpose: 'reset_password', lifeMs: FORCED_RESET_LIFE_MS } as const;
    await sendCodeMail(transaction, parts, { template: 'reset_forced', wish, locale, more: {} });
    return toAdminUser(await lock(transaction, id));
  }

  async function lock(transaction: Transaction, id: string): Promise<ListedUser> {
    return requireUser(await store.lock(transaction, id), { id });
  }
}
