import type { CodeService } from '../codes/code-service.ts';
import type { Transact } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { IN_BACKGROUND, MailWish } from './background-lane.ts';
import { sendCodeMail } from './code-mail.ts';
import type { MailLimit } from './mail-limit.ts';
import type { PasswordStore } from './password-store.ts';

/** By then its sender has asked again, or has given up. */
const TOO_LATE_MS = 3_600_000;

/**
 * The lane of such wishes. The request only writes one down: it takes as long for every address, and what there is to be
 * found out is found out here.
 * @param take does what one of them asks for
 */
export function forgottenPasswordLane(
  take: (wish: MailWish) => Promise<void>,
): LaneSettings<typeof MailWish> {
  return {
    ...IN_BACKGROUND,
    kind: 'password_forgotten',
    payload: MailWish,
    deliver: async (wish, { ageMs }) => {
      if (ageMs < TOO_LATE_MS) await take(wish);
    },
  };
}

type TakeForgottenPasswordParts = {
  store: PasswordStore;
  codes: CodeService;
  mail: MailService;
  mailLimit: MailLimit;
  transact: Transact;
};

/**
 * Makes the function that sends a code for a new password, if the address has an account which may have one. It does not
 * matter whether the address was verified, or whether the account has a password: the code proves the mailbox.
 */
export function createTakeForgottenPassword(parts: TakeForgottenPasswordParts) {
  const { store, mailLimit, transact } = parts;

  return async ({ email, languages }: MailWish): Promise<void> => {
    if (!(await mailLimit.tryTake(email))) return;
    await transact(async (transaction) => {
      const owner = await store.findByEmail(transaction, email);
      if (owner === null || !owner.isActive) return;
      await sendCodeMail(transaction, parts, {
        template: 'reset_password',
        wish: { userId: owner.id, purpose: 'reset_password', email },
        locale: owner.locale ?? languages,
        more: {},
      });
    });
  };
}
