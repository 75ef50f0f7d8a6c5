import Type, { type Static } from 'typebox';
import type { CodeService } from '../codes/code-service.ts';
import { CODE_LIFE_MS } from '../codes/one-time-code.ts';
import type { Transact } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import type { MailLimit } from './mail-limit.ts';
import type { PasswordStore } from './password-store.ts';

/** A wish for a new password, of somebody who may own the address or not. */
export const ForgottenPassword = Type.Object({
  /** Canonical. */
  email: Type.String(),
  /** The `Accept-Language` of the request. */
  languages: Type.Union([Type.String(), Type.Null()]),
});

export type ForgottenPassword = Static<typeof ForgottenPassword>;

/** By then its sender has asked again, or has given up. */
const TOO_LATE_MS = 3_600_000;

/**
 * The lane of such wishes. The request only writes one down: it takes as long for every address, and what there is to be
 * found out is found out here.
 * @param take does what one of them asks for
 */
export function forgottenPasswordLane(
  take: (wish: ForgottenPassword) => Promise<void>,
): LaneSettings<typeof ForgottenPassword> {
  return {
    kind: 'password_forgotten',
    payload: ForgottenPassword,
    deliver: async (wish, { ageMs }) => {
      if (ageMs < TOO_LATE_MS) await take(wish);
    },
    isAwaited: false,
    atOnce: 4,
    deadlineMs: 5_000,
    retry: { firstDelayMs: 1_000, maxDelayMs: 60_000, maxAttempts: 60 },
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
  const { store, codes, mail, mailLimit, transact } = parts;

  return async ({ email, languages }: ForgottenPassword): Promise<void> => {
    if (!(await mailLimit.tryTake(email))) return;
    await transact(async (transaction) => {
      const owner = await store.findByEmail(transaction, email);
      if (owner === null || !owner.isActive) return;
      const purpose = 'reset_password';
      const { link, typed } = await codes.issue(transaction, { userId: owner.id, purpose, email });
      await mail.send(transaction, {
        template: 'reset_password',
        userId: owner.id,
        to: email,
        locale: owner.locale ?? languages,
        data: { link, code: typed, goodForMs: CODE_LIFE_MS[purpose] },
      });
    });
  };
}
