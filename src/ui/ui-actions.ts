import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CodeFields } from './ui-pages.ts';

/** A request, and the answer that an action puts cookies into. */
export type Exchange = { request: FastifyRequest; reply: FastifyReply };

type Credentials = { email: string; password: string };

/**
 * What the pages do. Each throws the AppError of the JSON route that does the same. What is left out has no page; so it is
 * with mails when none can be sent.
 */
export type UiActions = {
  /** The user whose session the cookie names; null if there is none. */
  findUser(exchange: Exchange): Promise<{ email: string } | null>;
  signIn(credentials: Credentials, exchange: Exchange): Promise<void>;
  signUp(credentials: Credentials, exchange: Exchange): Promise<'signed_in' | 'verification_sent'>;
  /** Does nothing without a session. */
  signOut(exchange: Exchange): Promise<void>;
  forgot?: ((email: string, exchange: Exchange) => Promise<void>) | undefined;
  resetPassword?: ((code: CodeFields, password: string, exchange: Exchange) => Promise<void>) | undefined;
  /** @param password null when none was entered */
  verifyEmail?:
    | ((
        code: CodeFields,
        password: string | null,
        exchange: Exchange,
      ) => Promise<'verified' | 'password_required'>)
    | undefined;
  disown?: CodeAction | undefined;
  confirmEmailChange?: CodeAction | undefined;
  undoEmailChange?: CodeAction | undefined;
  undoDeletion?: CodeAction | undefined;
};

type CodeAction = (code: CodeFields, exchange: Exchange) => Promise<void>;
