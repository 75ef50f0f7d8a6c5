import { v7 as uuidv7 } from 'uuid';
import { channels, tellOutcome } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import { formerForm } from '../passwords/password-policy.ts';
import type { SessionService, StartedSession } from '../sessions/session-service.ts';
import type { AccountStore } from './account-store.ts';
import type { CredentialRules } from './credential-rules.ts';
import type { LeakWatch } from './leak-watch.ts';
import type { PasswordCheck } from './password-check.ts';
import type { User } from './user.ts';
import type { Visitor } from './visitor.ts';

export type Credentials = { email: string; password: string };

type AccountServiceParts = {
  store: AccountStore;
  sessions: SessionService;
  passwords: PasswordHasher;
  transact: Transact;
  passwordCheck: PasswordCheck;
  rules: CredentialRules;
  leakWatch: LeakWatch;
  /** Called when a stronger hash could not be stored; the sign-in itself succeeded. */
  onRehashError(error: unknown): void;
};

type SignedIn = { user: User; session: StartedSession };

export type AccountService = ReturnType<typeof createAccountService>;

/** Sign-up and sign-in: the only two ways in. */
export function createAccountService(parts: AccountServiceParts) {
  const { store, sessions, passwords, passwordCheck, rules, leakWatch, transact, onRehashError } = parts;

  return {
    /**
     * Makes an account and signs it in, both or neither.
     * @throws AppError `validation_failed`, `email_taken`, `overloaded`, `unavailable`
     */
    signUp: (credentials: Credentials, visitor: Visitor): Promise<SignedIn> =>
      tellOutcome(channels.signUp, () => signUp(credentials, visitor)),

    /**
     * Checks the password and starts a session. An unknown address costs as many hashes, so its time is the same.
     * @throws AppError `validation_failed`, `invalid_credentials`, `overloaded`, `unavailable`
     */
    signIn: (credentials: Credentials, visitor: Visitor): Promise<SignedIn> =>
      tellOutcome(channels.signIn, () => signIn(credentials, visitor)),

    /** @throws AppError `not_signed_in` when the account is gone */
    async getUser(id: string): Promise<User> {
      const user = await store.findById(id);
      if (user === null) throw new AppError('not_signed_in');
      return user;
    },
  };

  async function signUp({ email, password }: Credentials, visitor: Visitor): Promise<SignedIn> {
    await passwords.requireRoom();
    const address = rules.readEmail(email);
    await rules.requireGoodPassword(password, address.canonical);
    const passwordHash = await passwords.hash(password);
    const values = { id: uuidv7(), email: address.canonical, emailAsTyped: address.asTyped, passwordHash };
    const signedIn = await transact(async (transaction) => {
      const user = await store.insert(transaction, values);
      if (user === null) throw new AppError('email_taken');
      return { user, session: await startSession(transaction, user, visitor) };
    });
    await sessions.warm(signedIn.session.generateToken);
    return signedIn;
  }

  async function signIn({ email, password }: Credentials, visitor: Visitor): Promise<SignedIn> {
    await passwords.requireRoom();
    const { canonical } = rules.readEmail(email);
    const found = await store.findByEmail(canonical);
    const hash = found?.passwordHash ?? null;
    const matches = await passwordCheck.matches({ email: canonical, hash, password });
    if (found === null || !matches || found.status !== 'active') throw new AppError('invalid_credentials');
    const { passwordHash, credentialsVersion, ...user } = found;
    await strengthenHash(user.id, String(passwordHash), password).catch(onRehashError);
    const session = await transact((transaction) => startSession(transaction, user, visitor));
    await sessions.warm(session.generateToken);
    const { device } = visitor;
    leakWatch.look({ id: user.id, credentialsVersion }, password, { sessionId: session.id, device });
    return { user, session };
  }

  function startSession(
    transaction: Transaction,
    user: User,
    { device, generateToken }: Visitor,
  ): Promise<StartedSession> {
    return sessions.start(transaction, user.id, device, { replaces: generateToken });
  }

  /** Also when the hash may be of the former form, which cannot be typed on every keyboard. */
  async function strengthenHash(userId: string, oldHash: string, password: string): Promise<void> {
    if (!passwords.needsRehash(oldHash) && formerForm(password) === null) return;
    await store.replacePasswordHash(userId, oldHash, await passwords.hash(password));
  }
}
