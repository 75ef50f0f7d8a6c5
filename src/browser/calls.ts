import { AuthError, type Problem } from './auth-error.ts';
import type { Page } from './page.ts';

const TIMEOUT_MS = 10_000;
/** No proxy's idea of when to come back keeps a page away for longer. */
const MAX_RETRY_AFTER_SECONDS = 600;

/** One call of the auth server, with the cookie. @throws AuthError for every answer but a good one */
export type Call = <Answer>(method: string, path: string, body?: object) => Promise<Answer>;

/** @param url where the server is, without a slash at its end */
export function createCall(page: Page, url: string): Call {
  return async <Answer>(method: string, path: string, body?: object) => {
    const request: RequestInit = {
      method,
      credentials: 'include',
      // The server never redirects, and whoever else does is not to see a password.
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    };
    const response = await page.fetch(url + path, request).catch(() => {
      throw new AuthError(0);
    });
    const { ok, status, headers } = response;
    // Null for what is not JSON: a cut connection, or the page of a proxy.
    const answer: unknown = status === 204 ? {} : await response.json().catch(() => null);
    if (ok && answer) return answer as Answer;
    const retryAfterSeconds = Math.min(Number(headers.get('retry-after')), MAX_RETRY_AFTER_SECONDS);
    // Proxies have errors in JSON too, and codes of their own in them.
    const isProblem = headers.get('content-type')?.includes('problem+json');
    throw new AuthError(status, isProblem ? (answer as Problem) : null, retryAfterSeconds);
  };
}
