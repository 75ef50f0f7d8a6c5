/** Every `code` that a client can meet in a problem document. Status and title of each: `http/problem.ts`. */
export type ErrorCode =
  | 'malformed_request'
  | 'validation_failed'
  | 'duplicate_cookie'
  | 'duplicate_host'
  | 'unknown_audience'
  | 'invalid_credentials'
  | 'not_signed_in'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'origin_not_allowed'
  | 'forwarded_request_refused'
  | 'not_found'
  | 'session_not_found'
  | 'request_timeout'
  | 'email_taken'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'uri_too_long'
  | 'rate_limited'
  | 'headers_too_large'
  | 'internal_error'
  | 'overloaded'
  | 'unavailable';

/** One thing wrong with a request: where (a JSON Pointer, RFC 6901) and what. */
export type FieldError = { path: string; message: string };

type AppErrorOptions = {
  /** Shown to the client. Never holds a secret, a query or a stack. */
  detail?: string;
  errors?: FieldError[];
  retryAfterSeconds?: number;
  /** For the log only. */
  cause?: unknown;
};

/** A failure that a client may be told of. What is public (`code`, `detail`, `errors`) is apart from the private `cause`. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(options.detail ?? code, { cause: options.cause });
    this.code = code;
    this.detail = options.detail;
    this.errors = options.errors;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** The request breaks a rule of ours that its schema cannot state. */
export function validationFailed(errors: FieldError[]): AppError {
  return new AppError('validation_failed', { errors });
}

/** "Cannot know right now": a part that holds the answer does not answer. Never to be taken for "no". */
export function unavailable(cause: unknown): AppError {
  return new AppError('unavailable', { retryAfterSeconds: 1, cause });
}
