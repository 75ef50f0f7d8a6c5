/** One thing wrong with a request: where (a JSON Pointer, RFC 6901) and what. */
export type FieldError = { path: string; message: string };

/** The part of the server's problem document (RFC 9457) that pages use. */
export type Problem = { code?: string; title?: string; detail?: string; errors?: FieldError[] };

/**
 * A failed call. `code` is the stable code of the server; `unavailable` also means that there was no answer, or that
 * the answer was not the server's. `message` is an English sentence for the user.
 */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code: string;
  /** HTTP status; 0 if there was no answer. */
  readonly status: number;
  readonly errors: FieldError[];
  /** 0 if the server names no time. */
  readonly retryAfterSeconds: number;

  constructor(status: number, problem?: Problem | null, retryAfterSeconds?: number) {
    super(problem?.detail ?? problem?.title ?? 'The auth server gave no usable answer: try again');
    this.code = problem?.code ?? 'unavailable';
    this.status = status;
    this.errors = problem?.errors ?? [];
    // A date (RFC 9110 §10.2.3) is not a number, and the server never sends one.
    this.retryAfterSeconds = retryAfterSeconds || 0;
  }
}
