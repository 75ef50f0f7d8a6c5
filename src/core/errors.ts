/** Every `code` of a problem document, with its status and title. A released code keeps its meaning. */
export const PROBLEMS = {
  malformed_request: { status: 400, title: 'The request cannot be read' },
  validation_failed: { status: 400, title: 'The request breaks a rule' },
  duplicate_cookie: { status: 400, title: 'The session cookie was sent twice' },
  duplicate_host: { status: 400, title: 'The Host header was sent twice' },
  invalid_code: { status: 400, title: 'The code is wrong, used up or too old' },
  unknown_audience: { status: 400, title: 'No such audience' },
  invalid_credentials: { status: 401, title: 'Wrong e-mail address or password' },
  not_signed_in: { status: 401, title: 'Not signed in' },
  invalid_client: { status: 401, title: 'No service client has these credentials' },
  invalid_token: { status: 401, title: 'The access token is not valid here' },
  insufficient_user_authentication: { status: 401, title: 'Sign in again for this' },
  password_required: { status: 403, title: 'This browser must show the password as well' },
  reauthentication_required: { status: 403, title: 'Show again that it is you' },
  insufficient_scope: { status: 403, title: 'The access token does not allow this' },
  only_on_the_machine: { status: 403, title: 'This is done by a command on the machine alone' },
  origin_not_allowed: { status: 403, title: 'This origin is not allowed' },
  forwarded_request_refused: { status: 403, title: 'The gateway passed on a request that must not pass' },
  not_found: { status: 404, title: 'Not found' },
  session_not_found: { status: 404, title: 'No such session' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  email_taken: { status: 409, title: 'There is an account with this e-mail address' },
  last_admin: { status: 409, title: 'There would be no admin left' },
  body_too_large: { status: 413, title: 'The request body is too large' },
  uri_too_long: { status: 414, title: 'The URL is too long' },
  unsupported_media_type: { status: 415, title: 'The request body must be application/json' },
  rate_limited: { status: 429, title: 'Too many requests' },
  headers_too_large: { status: 431, title: 'The request headers are too large' },
  internal_error: { status: 500, title: 'Something went wrong on our side' },
  overloaded: { status: 503, title: 'Too busy right now' },
  unavailable: { status: 503, title: 'A part of the server does not answer: try again' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof PROBLEMS;

/** One thing wrong with a request: where (a JSON Pointer, RFC 6901) and what. */
export type FieldError = { path: string; message: string };

type AppErrorOptions = {
  /** Shown to the client. Never holds a secret, a query or a stack. */
  detail?: string;
  errors?: FieldError[];
  retryAfterSeconds?: number;
  /** Whether an access token is accepted too: then a 401 has a Bearer challenge (RFC 6750 §3). */
  acceptsToken?: boolean;
  /** How long ago the user of a token may have signed in: the challenge tells it (RFC 9470 §3). */
  maxAuthAgeSeconds?: number;
  /** For the log only. */
  cause?: unknown;
};

/** A failure that clients may see: `code`, `detail` and `errors` are public, `cause` is private. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly acceptsToken: boolean;
  readonly maxAuthAgeSeconds: number | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.detail ?? code, { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.acceptsToken = options.acceptsToken ?? false;
    this.maxAuthAgeSeconds = options.maxAuthAgeSeconds;
  }
}

/** The request breaks a rule that a schema cannot express. */
export function validationFailed(errors: FieldError[]): AppError {
  return new AppError('validation_failed', { errors });
}

/** Something that the answer depends on, mostly the database, does not answer. Never treat this as a refusal. */
export function unavailable(cause: unknown): AppError {
  return new AppError('unavailable', { retryAfterSeconds: 1, cause });
}
