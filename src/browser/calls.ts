import { AuthError, type Problem } from './auth-error.ts';
import type { Page } from './page.ts';

const TIMEOUT_MS = 10_000;
/** Limits a Retry-After, which may come from a proxy. */
const MAX_RETRY_AFTER_SECONDS = 600;

/** One call of the auth server, with the cookie. @throws AuthError for every answer that is not a success */
export type Call = <Answer>(method: string, path: string, body?: object) => Promise<Answer>;

/** @param url of the server, without a slash at its end */
export function createCall(page: Page, url: string): Call {
  return async <Answer>(method: string, path: string, body?: object) => {
    const request: RequestInit = {
      method,
      credentials: 'include',
      // The server never redirects. If something else does, its target must not receive a password.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    };
    const response = await page.fetch(url + path, request).catch(() => {
      throw new AuthError(0);
    });
    const { ok, status, headers } = response;
    // Null if the answer is not JSON: the connection broke, or a proxy sent a page.
    const answer: unknown = status === 204 ? {} : await response.json().catch(() => null);
    if (ok && answer) return answer as Answer;
    const retryAfterSeconds = Math.min(Number(headers.get('retry-after')), MAX_RETRY_AFTER_SECONDS);
    // Proxies may send errors in JSON too, with codes of their own.
    const isProblem = headers.get('content-type')?.includes('problem+json');
    throw new AuthError(status, isProblem ? (answer as Problem) : null, retryAfterSeconds);
  };
}
