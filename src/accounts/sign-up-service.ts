import { v7 as uuidv7 } from 'uuid';
import { channels, tellOutcome } from '../core/channels.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { SealedLane } from '../outbox/sealed-lane.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { SignUp } from './sign-up-lane.ts';
import type { User } from './user.ts';
import type { VerificationMails } from './verification-mails.ts';
import type { Visitor } from './visitor.ts';

type SignUpServiceParts = {
  passwords: PasswordHasher;
  rules: CredentialRules;
  transact: Transact;
  mails: VerificationMails;
  lane: SealedLane<typeof SignUp>;
  /** `EMAIL_VERIFICATION` */
  verification: 'off' | 'optional' | 'required';
};

export type SignUpService = ReturnType<typeof createSignUpService>;

/** How the verification of an address begins. */
export function createSignUpService(parts: SignUpServiceParts) {
  const { passwords, rules, transact, mails, lane, verification } = parts;

  return {
    /** Whether nobody gets a session before the address is verified: then sign-ups are asked for by `ask`. */
    isVerificationRequired: verification === 'required',

    /** Called in the transaction that makes an account together with its first session. */
    async welcome(transaction: Transaction, { id, email }: User, { acceptLanguage }: Visitor): Promise<void> {
      if (verification === 'off') return;
      // No other browser needs this code without the password: this one has a session.
      await mails.askToVerify(transaction, { id, email, locale: null }, null, acceptLanguage);
    },

    /**
     * Takes a sign-up without looking whether the address has an account: the answer and its time are the same for every
     * address. The lane does the rest.
     * @param browserHash of the secret of the browser, which needs no password when it verifies the address
     * @throws AppError `validation_failed`, `overloaded`, `unavailable`
     */
    ask: (
      credentials: { email: string; password: string },
      visitor: Visitor,
      browserHash: Buffer,
    ): Promise<void> => tellOutcome(channels.signUp, () => ask(credentials, visitor, browserHash)),
  };

  async function ask(
    { email, password }: { email: string; password: string },
    { device, acceptLanguage }: Visitor,
    browserHash: Buffer,
  ): Promise<void> {
    await passwords.requireRoom();
    const { canonical, asTyped } = rules.readEmail(email);
    await rules.requireGoodPassword(password, canonical);
    const passwordHash = await passwords.hash(password);
    const account = { id: uuidv7(), email: canonical, emailAsTyped: asTyped, passwordHash };
    const signUp = {
      ...account,
      browserHash: browserHash.toString('hex'),
      device,
      languages: acceptLanguage,
    };
    await transact((transaction) => lane.send(transaction, signUp));
  }
}
