/** One thing wrong with a request: where (a JSON Pointer, RFC 6901) and what. */
export type FieldError = { path: string; message: string };

/** The part of the server's problem document (RFC 9457) that pages have a use for. */
export type Problem = { code?: string; title?: string; detail?: string; errors?: FieldError[] };

/**
 * A call that did not work. `code` is the server's stable one; `unavailable` stands also for no answer at all, and for
 * one that is not the server's. `message` is an English sentence for the user.
 */
export class AuthError extends Error {
  override readonly name = 'AuthError';
  readonly code: string;
  /** Of HTTP; 0 where there was no answer. */
  readonly status: number;
  readonly errors: FieldError[];
  /** 0 where the server names no time. */
  readonly retryAfterSeconds: number;

  constructor(status: number, problem?: Problem | null, retryAfterSeconds?: number) {
    super(problem?.detail ?? problem?.title ?? 'Cannot tell right now');
    this.code = problem?.code ?? 'unavailable';
    this.status = status;
    this.errors = problem?.errors ?? [];
    // A date (RFC 9110 §10.2.3) is not a number, and the server never sends one.
    this.retryAfterSeconds = retryAfterSeconds || 0;
  }
}
