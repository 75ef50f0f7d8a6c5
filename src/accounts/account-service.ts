import { v7 as uuidv7 } from 'uuid';
import { channels, tellOutcome } from '../core/channels.ts';
import { AppError, validationFailed } from '../core/errors.ts';
import type { Transact, Transaction } from '../db/database.ts';
import type { PasswordHasher } from '../passwords/password-hash.ts';
import { checkPassword, formerForm, type PasswordPolicy } from '../passwords/password-policy.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionService, StartedSession } from '../sessions/session-service.ts';
import type { AccountStore } from './account-store.ts';
import { parseEmailAddress } from './email-address.ts';
import type { User } from './user.ts';

export type Credentials = { email: string; password: string };

/** Who signs in: the device, and the generate token that the cookie already holds, if any. */
export type Visitor = { device: Device; generateToken: string | null };

type AccountServiceParts = {
  store: AccountStore;
  sessions: SessionService;
  passwords: PasswordHasher;
  transact: Transact;
  passwordPolicy: PasswordPolicy;
  /** Called when a stronger hash could not be stored; the sign-in itself succeeded. */
  onRehashError(error: unknown): void;
};

type SignedIn = { user: User; session: StartedSession };

export type AccountService = ReturnType<typeof createAccountService>;

/** Sign-up and sign-in: the only two ways in. */
export function createAccountService(parts: AccountServiceParts) {
  const { store, sessions, passwords, transact, passwordPolicy, onRehashError } = parts;

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
    const address = readEmail(email);
    requireGoodPassword(password, address.canonical);
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
    const { canonical } = readEmail(email);
    const found = await store.findByEmail(canonical);
    const matches = await passwords.verify(found?.passwordHash ?? null, password);
    if (found === null || !matches || found.status !== 'active') throw new AppError('invalid_credentials');
    const { passwordHash, ...user } = found;
    await strengthenHash(user.id, String(passwordHash), password).catch(onRehashError);
    const session = await transact((transaction) => startSession(transaction, user, visitor));
    await sessions.warm(session.generateToken);
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

  function requireGoodPassword(password: string, email: string): void {
    const problems = checkPassword(password, email, passwordPolicy);
    if (problems.length === 0) return;
    throw validationFailed(problems.map((message) => ({ path: '/password', message })));
  }
}

function readEmail(email: string): { canonical: string; asTyped: string } {
  const parsed = parseEmailAddress(email);
  if ('problem' in parsed) throw validationFailed([{ path: '/email', message: parsed.problem }]);
  return parsed;
}
