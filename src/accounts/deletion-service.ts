import { type Actor, byActor, SERVER } from '../audit/audit-event.ts';
import type { AuditService } from '../audit/audit-service.ts';
import type { CodeService, PresentedCode } from '../codes/code-service.ts';
import { AppError } from '../core/errors.ts';
import { createTurnsByKey } from '../core/turns.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { SessionService } from '../sessions/session-service.ts';
import { sendCodeMail } from './code-mail.ts';
import type { DeletionStore } from './deletion-store.ts';
import type { OwnerCheck } from './owner-check.ts';
import type { User } from './user.ts';
import { requireUser } from './user-name.ts';

/** A transaction has two seconds, and an account takes up to some hundredths of one. */
const DELETED_AT_ONCE = 10;

type DeletionServiceParts = {
  store: DeletionStore;
  ownerCheck: OwnerCheck;
  sessions: SessionService;
  codes: CodeService;
  audit: AuditService;
  mail: MailService;
  transact: Transact;
  /** Time in which the owner can undo it; 0: it is done at once. */
  delayMs: number;
};

export type DeletionService = ReturnType<typeof createDeletionService>;

/** How accounts end. */
export function createDeletionService(parts: DeletionServiceParts) {
  const { store, ownerCheck, sessions, codes, audit, mail, transact, delayMs } = parts;
  // Of one user one at a time: those that wait for the row's lock would each hold a database connection.
  const inTurn = createTurnsByKey<string>();

  return {
    /**
     * Deletes the account, at once or after the delay. All its sessions end at once in both cases.
     * @param password undefined: none was given
     * @returns when it will be deleted; null: it is deleted
     * @throws AppError `invalid_credentials`, `reauthentication_required`, `not_signed_in`, `rate_limited`, `unavailable`
     */
    async delete(session: SessionRecord, password: string | undefined, device: Device): Promise<Date | null> {
      await ownerCheck.require(session, password, device);
      await sessions.endSurplus(session.userId, session.id, 'account_deleted', device);
      const work = (transaction: Transaction) => deleteIn(transaction, session, device);
      return inTurn(session.userId, () => transact(work));
    },

    /**
     * Deletes an account at once, for an operator.
     * @param mayGo throws in the transaction, in which the account is locked, when it must stay
     * @throws AppError `not_found`, `unavailable`; what `mayGo` throws
     */
    async deleteBy(
      actor: Actor,
      userId: string,
      mayGo: (transaction: Transaction) => Promise<void>,
    ): Promise<void> {
      const find = async (transaction: Transaction) => {
        const user = requireUser(await store.lock(transaction, userId), { id: userId });
        await mayGo(transaction);
        return user;
      };
      // First: whoever must stay keeps all their sessions.
      await transact(find);
      await sessions.endSurplus(userId, null, 'account_deleted', actor);
      const work = async (transaction: Transaction) => remove(transaction, await find(transaction), actor);
      await inTurn(userId, () => transact(work));
    },

    /**
     * Keeps an account that was to be deleted, by the code of the mail.
     * @throws AppError `invalid_code`, `unavailable`
     */
    async undoByCode(presented: PresentedCode, device: Device): Promise<void> {
      const code = await codes.check('undo_deletion', presented);
      await transact(async (transaction) => {
        await codes.spend(transaction, code);
        await undo(transaction, { userId: code.userId, actorId: null, device });
      });
    },

    /** Keeps the user's own account; does nothing if it was not to be deleted. @throws AppError `unavailable` */
    async undoOwn({ userId, id: sessionId }: SessionRecord, device: Device): Promise<void> {
      await transact((transaction) => undo(transaction, { userId, actorId: userId, sessionId, device }));
    },

    /**
     * Deletes accounts whose time has come.
     * @returns `limit` when there may be more of them, so that the next ones follow in a transaction of their own
     */
    async sweep(transaction: Transaction, limit: number): Promise<number> {
      const due = await store.lockDue(transaction, DELETED_AT_ONCE);
      for (const user of due) await remove(transaction, user, SERVER);
      return due.length === DELETED_AT_ONCE ? limit : due.length;
    },
  };

  async function deleteIn(
    transaction: Transaction,
    session: SessionRecord,
    device: Device,
  ): Promise<Date | null> {
    const user = await store.lock(transaction, session.userId);
    if (user === null) throw new AppError('not_signed_in');
    // Its password may just have been reset, because somebody else was signed in with it.
    await sessions.requireOpen(transaction, user.id, session.id);
    if (delayMs > 0) return ask(transaction, user, session, device);
    await remove(transaction, user, { kind: 'user', id: user.id, requestId: device.requestId });
    return null;
  }

  /** Whoever signs in and asks again gets the answer of the first time, and no later date. */
  async function ask(
    transaction: Transaction,
    user: User,
    session: SessionRecord,
    device: Device,
  ): Promise<Date> {
    await sessions.endAllIn(transaction, user.id, null, 'account_deleted', device);
    if (user.deletionDueAt !== null) return user.deletionDueAt;
    const dueAt = await store.schedule(transaction, user.id, delayMs);
    await audit.record(transaction, {
      kind: 'account.deletion_asked',
      userId: user.id,
      actorId: user.id,
      sessionId: session.id,
      device,
    });
    if (mail.isOn) await sendUndoCode(transaction, user, dueAt);
    return dueAt;
  }

  async function sendUndoCode(transaction: Transaction, user: User, dueAt: Date): Promise<void> {
    const { id: userId, email, locale } = user;
    const wish = { userId, purpose: 'undo_deletion', email, lifeMs: delayMs } as const;
    await sendCodeMail(transaction, parts, { template: 'deletion_asked', wish, locale, more: { dueAt } });
  }

  /**
   * What is personal goes, and ids stay in the audit. The events come last: rows that refer to the user may hold back this
   * deletion, and the transactions that wrote them may have written events.
   */
  async function remove(transaction: Transaction, user: User, actor: Actor): Promise<void> {
    const { id: userId, email, locale } = user;
    // Before their rows go: every replica and the services must learn that they have ended.
    await sessions.endAllIn(transaction, userId, null, 'account_deleted', actor);
    await mail.withdraw(transaction, userId);
    await store.delete(transaction, userId);
    await audit.forget(transaction, userId);
    await audit.record(transaction, { kind: 'account.deleted', userId, ...byActor(actor) });
    await mail.send(transaction, { template: 'account_deleted', userId, to: email, locale, data: {} });
  }

  async function undo(
    transaction: Transaction,
    who: { userId: string; actorId: string | null; sessionId?: string; device: Device },
  ): Promise<void> {
    if (!(await store.undo(transaction, who.userId))) return;
    await audit.record(transaction, { kind: 'account.deletion_undone', ...who });
  }
}
