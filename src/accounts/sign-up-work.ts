import type { AuditService } from '../audit/audit-service.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { AccountStore } from './account-store.ts';
import type { MailWish } from './background-lane.ts';
import type { MailLimit } from './mail-limit.ts';
import type { SignUp } from './sign-up-lane.ts';
import type { VerificationMails } from './verification-mails.ts';
import type { VerificationStore } from './verification-store.ts';

type SignUpWorkParts = {
  accounts: AccountStore;
  applicants: VerificationStore;
  transact: Transact;
  audit: AuditService;
  mails: VerificationMails;
  mailLimit: MailLimit;
};

/** What is done after the answer, because its time would tell whether the address has an account. */
export function createSignUpWork(parts: SignUpWorkParts) {
  const { accounts, applicants, transact, audit, mails, mailLimit } = parts;

  return {
    /**
     * Makes the account of a sign-up and asks the owner of the address to verify it. If there is one already, nothing of it
     * changes, and its owner gets a mail.
     */
    async takeSignUp(signUp: SignUp): Promise<void> {
      const { id, email, emailAsTyped, passwordHash, device } = signUp;
      const mayMail = await mailLimit.tryTake(email);
      await transact(async (transaction) => {
        const user = await accounts.insert(transaction, { id, email, emailAsTyped, passwordHash });
        if (user !== null)
          await audit.record(transaction, { kind: 'account.created', userId: id, actorId: id, device });
        if (mayMail) await sendMail(transaction, signUp, user !== null);
      });
    },

    /** Sends another mail, if there is an account whose address is not verified. */
    async takeWish({ email, languages }: MailWish): Promise<void> {
      if (!(await mailLimit.tryTake(email))) return;
      await transact(async (transaction) => {
        const to = await applicants.findByEmail(transaction, email);
        if (to?.isActive && !to.isVerified) await mails.askAgain(transaction, to, languages);
      });
    },
  };

  async function sendMail(transaction: Transaction, signUp: SignUp, isNew: boolean): Promise<void> {
    const { id, email, browserHash, languages } = signUp;
    const to = await applicants.findByEmail(transaction, email);
    // Nobody, if the address was another account's a short while ago.
    if (to === null || !to.isActive) return;
    if (isNew) return mails.askToVerify(transaction, to, Buffer.from(browserHash, 'hex'), languages);
    // This very message was delivered before, and the process ended before it could note that.
    if (to.id === id) return;
    await (to.isVerified
      ? mails.tellOwner(transaction, to, languages)
      : mails.askAgain(transaction, to, languages));
  }
}
