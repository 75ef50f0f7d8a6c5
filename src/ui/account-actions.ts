import type { AccountService } from '../accounts/account-service.ts';
import type { CredentialRules } from '../accounts/credential-rules.ts';
import type { DeletionService } from '../accounts/deletion-service.ts';
import type { EmailChangeService } from '../accounts/email-change-service.ts';
import type { PasswordService } from '../accounts/password-service.ts';
import { readPresentedCode } from '../accounts/presented-code.ts';
import type { ProfileService } from '../accounts/profile-service.ts';
import { signInto } from '../accounts/sign-into.ts';
import { hashBrowserSecret, type SignUpCookie } from '../accounts/sign-up-cookie.ts';
import type { SignUpService } from '../accounts/sign-up-service.ts';
import type { VerificationService } from '../accounts/verification-service.ts';
import { visitorOf } from '../accounts/visitor.ts';
import { AppError } from '../core/errors.ts';
import { clientNetwork } from '../http/client-address.ts';
import { findSession, requireSession } from '../sessions/authenticate.ts';
import { deviceOf } from '../sessions/device.ts';
import type { SessionCookie } from '../sessions/session-cookie.ts';
import type { SessionService } from '../sessions/session-service.ts';
import type { UiActions } from './ui-actions.ts';

export type AccountActionsParts = {
  accounts: AccountService;
  profiles: ProfileService;
  signUps: SignUpService;
  verification: VerificationService;
  passwords: PasswordService;
  emailChange: EmailChangeService;
  deletions: DeletionService;
  credentialRules: CredentialRules;
  sessions: SessionService;
  cookie: SessionCookie;
  signUpCookie: SignUpCookie;
  /** Whether mails can be sent. Otherwise the pages that need one are left out. */
  mailIsOn: boolean;
};

/** What the pages do, by the services and cookies of the JSON routes. */
export function createAccountActions(parts: AccountActionsParts): UiActions {
  const { accounts, profiles, sessions, cookie, mailIsOn } = parts;
  const signUp = signUpAction(parts);

  return {
    async findUser(exchange) {
      const session = await findSession(exchange.request, exchange.reply, parts);
      return session === null ? null : { email: (await profiles.get(session.userId)).emailAsTyped };
    },

    async signIn(credentials, { request, reply }) {
      signInto(reply, cookie, await accounts.signIn(credentials, visitorOf(request, reply, cookie)));
    },

    signUp,

    async signOut({ request, reply }) {
      const generateToken = cookie.read(request, reply);
      if (generateToken !== null)
        await sessions.signOut(generateToken, clientNetwork(request), deviceOf(request));
      cookie.clear(reply);
      reply.header('clear-site-data', '"storage"');
    },

    ...(mailIsOn && mailActions(parts)),
  };
}

function signUpAction({ accounts, signUps, cookie, signUpCookie }: AccountActionsParts): UiActions['signUp'] {
  return async (credentials, { request, reply }) => {
    const visitor = visitorOf(request, reply, cookie);
    if (!signUps.isVerificationRequired) {
      signInto(reply, cookie, await accounts.signUp(credentials, visitor));
      return 'signed_in';
    }
    const secret = signUpCookie.secretFor(request);
    await signUps.ask(credentials, visitor, hashBrowserSecret(secret));
    signUpCookie.set(reply, secret);
    return 'verification_sent';
  };
}

function mailActions(parts: AccountActionsParts): Partial<UiActions> {
  const { passwords, credentialRules: rules, cookie, emailChange, deletions } = parts;
  return {
    forgot: (email, exchange) =>
      passwords.forgot(email, visitorOf(exchange.request, exchange.reply, cookie).acceptLanguage),

    async resetPassword(code, password, { request, reply }) {
      const wish = { presented: readPresentedCode(code, rules), password };
      signInto(reply, cookie, await passwords.reset(wish, visitorOf(request, reply, cookie)));
    },

    verifyEmail: verifyAction(parts),

    disown: (code, { request }) => passwords.disown(readPresentedCode(code, rules), deviceOf(request)),

    async confirmEmailChange({ code }, exchange) {
      const session = await requireSession(exchange.request, exchange.reply, parts);
      await emailChange.confirm(session, code, visitorOf(exchange.request, exchange.reply, cookie));
    },

    undoEmailChange: (code, { request, reply }) =>
      emailChange.undo(readPresentedCode(code, rules), visitorOf(request, reply, cookie)),

    async undoDeletion(code, { request }) {
      await deletions.undoByCode(readPresentedCode(code, rules), deviceOf(request));
    },
  };
}

function verifyAction(parts: AccountActionsParts): UiActions['verifyEmail'] {
  const { verification, cookie, signUpCookie } = parts;
  return async (code, password, { request, reply }) => {
    const session = await findSession(request, reply, parts);
    const proof = { session, browserHash: signUpCookie.read(request), password: password ?? undefined };
    try {
      const verified = await verification.verify(code, proof, visitorOf(request, reply, cookie));
      if (verified.session !== null) signInto(reply, cookie, { ...verified, session: verified.session });
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'password_required')) throw error;
      // The service says the same of a wrong password as of none; people want to know which.
      if (password !== null) throw new AppError('invalid_credentials');
      return 'password_required';
    }
    signUpCookie.clear(reply);
    return 'verified';
  };
}
