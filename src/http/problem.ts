import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { ConnectionError, FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { channels, tell } from '../core/channels.ts';
import { AppError, type ErrorCode, type FieldError, PROBLEMS, unavailable } from '../core/errors.ts';
import { addChallenge } from './challenge.ts';
import { findAnswer } from './connection-limits.ts';
import { logAnswerWhenSent, noteFailure } from './logging.ts';

/** Our codes for errors of Fastify and its plugins. For errors that are not listed, the status decides. */
const FRAMEWORK_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
  FST_ERR_HANDLER_TIMEOUT: 'unavailable',
  FST_UNDER_PRESSURE: 'overloaded',
};

/** A body of unknown fields has thousands of errors, and the answer would be far longer than the request. */
const MAX_ERRORS = 20;

const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** An RFC 9457 problem document. */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'The same for every problem with this code' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.Optional(Type.String()),
    code: Type.String({ enum: Object.keys(PROBLEMS), description: 'Stable: what programs look at' }),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String({ description: 'JSON Pointer' }), message: Type.String() })),
    ),
  },
  { title: 'Problem', description: 'RFC 9457 problem details' },
);

/** The problems that every route with the cookie may answer, in addition to its own. */
export const READ_PROBLEMS: ErrorCode[] = ['duplicate_cookie', 'rate_limited', 'overloaded', 'unavailable'];

/** The same for routes that change something. */
export const WRITE_PROBLEMS: ErrorCode[] = [
  ...READ_PROBLEMS,
  'malformed_request',
  'origin_not_allowed',
  'body_too_large',
  'unsupported_media_type',
];

/** @returns status, title, and the bytes of the problem document */
export function problemOf(error: Pick<AppError, 'code' | 'detail' | 'errors'>): {
  status: number;
  title: string;
  body: string;
} {
  const { code, detail, errors } = error;
  const { status, title } = PROBLEMS[code];
  const type = `urn:doorward:problem:${code}`;
  return { status, title, body: JSON.stringify({ type, title, status, detail, code, errors }) };
}

/** The `response` part of a route's schema for the problems it may answer, grouped by status. */
export function problemResponses(...codes: ErrorCode[]): Record<number, object> {
  const byStatus = Object.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => [
      status,
      {
        description: group.map((code) => `\`${code}\`: ${PROBLEMS[code].title}`).join('; '),
        content: { 'application/problem+json': { schema: ProblemSchema } },
      },
    ]),
  );
}

/** Fastify's error handler: every error becomes a problem document. Causes are only logged. */
export function sendProblem(
  error: FastifyError | AppError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const appError = toAppError(error);
  const { status, body } = problemOf(appError);
  noteCause(appError, error, request);
  challenge(appError, reply);
  if (appError.retryAfterSeconds !== undefined) reply.header('retry-after', appError.retryAfterSeconds);
  // `serializer`: these bytes are final, and the route's response schema does not apply.
  return (
    reply
      .code(status)
      // Set again, because a malformed URL comes here without any hook.
      .headers({ 'cache-control': 'no-store', 'x-request-id': request.id })
      .type(PROBLEM_TYPE)
      .serializer((bytes: string) => bytes)
      .send(body)
  );
}

/** Adds what went wrong on our side to the request's line in the log. */
export function noteCause({ code, cause }: AppError, error: unknown, request: FastifyRequest): void {
  // A refusal under overload is no failure, and a flood must not fill the log with stack traces.
  if (PROBLEMS[code].status >= 500 && code !== 'overloaded') noteFailure(request, cause ?? error, code);
}

/** For a URL that Fastify refuses by itself: no hook runs for it. */
export function refuseUrl(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  logAnswerWhenSent(request, reply);
  const answer = sendProblem(error, request, reply);
  tell(channels.unreadableRequest, { status: reply.statusCode });
  return answer;
}

/** RFC 6750 §3.1: a request without a token gets no error code. */
function challenge({ code, acceptsToken, maxAuthAgeSeconds }: AppError, reply: FastifyReply): void {
  if (code === 'invalid_client') addChallenge(reply, 'Basic', { charset: 'UTF-8' });
  if (TOKEN_ERRORS.includes(code)) addChallenge(reply, 'Bearer', { error: code });
  else if (maxAuthAgeSeconds !== undefined)
    addChallenge(reply, 'Bearer', { error: code, max_age: maxAuthAgeSeconds });
  else if (acceptsToken) addChallenge(reply, 'Bearer');
}

const TOKEN_ERRORS: ErrorCode[] = ['invalid_token', 'insufficient_scope'];

/** For bytes that are not HTTP or arrive too slowly: answers on the socket, as there is no request to reply to. */
export function refuseConnection(error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const answer = findAnswer(socket);
  // A second answer would get into the midst of the first, or count as the answer to another request.
  if (answer !== undefined) return void answer.once('close', () => socket.end());
  const code = CONNECTION_CODES[error.code] ?? 'malformed_request';
  const { status, body } = problemOf(new AppError(code));
  tell(channels.unreadableRequest, { status });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const CONNECTION_CODES: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** Turns any error into an AppError. */
export function toAppError(error: FastifyError | AppError): AppError {
  if (error instanceof AppError) return error;
  if (error.validation)
    return new AppError('validation_failed', {
      errors: error.validation.slice(0, MAX_ERRORS).map(fieldError),
    });
  const code = FRAMEWORK_CODES[error.code] ?? codeOfStatus(error.statusCode ?? 500);
  if (code === 'unavailable') return unavailable(error);
  // Without its message: that may quote the URL.
  return new AppError(code, { cause: error, ...(code === 'overloaded' && { retryAfterSeconds: 1 }) });
}

function codeOfStatus(status: number): ErrorCode {
  if (status >= 500) return 'internal_error';
  return status === 408 ? 'request_timeout' : 'malformed_request';
}

type ValidationIssue = NonNullable<FastifyError['validation']>[number];

/** Reads an issue of Ajv. Unknown and missing fields are reported at their own path, not at their parent's. */
function fieldError({ instancePath, keyword, params, message }: ValidationIssue): FieldError {
  const name = params[keyword === 'required' ? 'missingProperty' : 'additionalProperty'];
  const path = typeof name === 'string' ? `${instancePath}/${escapePointer(name)}` : instancePath;
  if (keyword === 'additionalProperties') return { path, message: 'is not a known field' };
  if (keyword === 'required') return { path, message: 'is required' };
  if (keyword === 'format')
    return { path, message: FORMAT_MESSAGES[String(params.format)] ?? 'has the wrong format' };
  return { path, message: message ?? 'is not valid' };
}

const FORMAT_MESSAGES: Record<string, string> = {
  text: 'must be well-formed Unicode without NUL characters',
  uuid: 'must be a UUID',
};

/** A part of a JSON Pointer (RFC 6901 §3). */
export function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
