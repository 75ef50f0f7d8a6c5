import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { AppError } from '../core/errors.ts';
import { addChallenge } from '../http/challenge.ts';
import { noteCause, problemOf, toAppError } from '../http/problem.ts';
import { OAuthError } from './oauth-error.ts';

/** The body of every error of `/oauth/*`: RFC 6749 §5.2. */
const OAuthProblem = Type.Object(
  { error: Type.String({ description: 'Stable: what programs look at' }), error_description: Type.String() },
  { title: 'OAuthError', description: 'RFC 6749 §5.2' },
);

const described = (description: string) => ({
  description,
  content: { 'application/json': { schema: OAuthProblem } },
});

/** The `response` part of the schema of every OAuth route. */
export const OAUTH_PROBLEMS = {
  400: described('The request cannot be granted, or breaks a rule'),
  401: described('`invalid_client`'),
  403: described('`invalid_request`: from a page of another origin'),
  413: described('`invalid_request`: too large'),
  415: described('`invalid_request`: not a form'),
  429: described('`temporarily_unavailable`: too many failed attempts'),
  500: described('`server_error`'),
  503: described('`temporarily_unavailable`'),
};

type Answer = { status: number; error: string; description: string; retryAfterSeconds?: number | undefined };

/** The error handler of OAuth routes: every error becomes one of RFC 6749 §5.2. */
export function sendOAuthProblem(
  error: FastifyError | AppError | OAuthError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const answer = error instanceof OAuthError ? refusal(error) : failure(error, request);
  const { status, error: code, description, retryAfterSeconds } = answer;
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  if (code === 'invalid_client') addChallenge(reply, 'Basic', { charset: 'UTF-8' });
  return (
    reply
      .code(status)
      .type('application/json; charset=utf-8')
      .serializer((body: object) => JSON.stringify(body))
      // RFC 6749 §5.2 allows neither quotes nor backslashes here.
      .send({ error: code, error_description: description.replace(/["\\]/g, "'") })
  );
}

function refusal({ code, message }: OAuthError): Answer {
  return { status: code === 'invalid_client' ? 401 : 400, error: code, description: message };
}

function failure(error: FastifyError | AppError, request: FastifyRequest): Answer {
  const appError = toAppError(error);
  noteCause(appError, error, request);
  const { status, title } = problemOf(appError);
  if (status === 415) return { status, error: 'invalid_request', description: 'The body must be a form' };
  const places = (appError.errors ?? []).map(
    ({ path, message }) => `${path.slice(1) || 'the body'} ${message}`,
  );
  const { detail = title, retryAfterSeconds } = appError;
  return { status, error: codeOf(status), description: [detail, ...places].join('; '), retryAfterSeconds };
}

function codeOf(status: number): string {
  if (status === 503 || status === 429) return 'temporarily_unavailable';
  return status >= 500 ? 'server_error' : 'invalid_request';
}
