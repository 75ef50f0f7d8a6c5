import type { AuthError } from './auth-error.ts';
import { userOf } from './claims.ts';
import type { Page } from './page.ts';
import type { TokenKeeper } from './token-keeper.ts';

/** `fetch` that adds the access token of an origin's audience, and none for an origin that has no keeper. */
export function createGuardedFetch(page: Page, keepers: ReadonlyMap<string, TokenKeeper>): typeof fetch {
  return async (input, init) => {
    // Made from the URL alone: a second Request from `input` would consume the body of the first.
    const { url } = new page.Request((input as Request).url ?? input);
    const headers = new Headers(init?.headers ?? (input as Request).headers);
    const keeper = headers.has('authorization') ? undefined : keepers.get(new URL(url).origin);
    const token = await keeper?.accessToken().catch(nullIfSignedOut);
    if (!keeper || !token) return page.fetch(input, init);

    const requestWith = (value: string) => {
      headers.set('authorization', `Bearer ${value}`);
      // A redirect may lead to another origin, and older browsers keep the header then.
      return new page.Request(input, { ...init, headers, redirect: 'error' });
    };
    const response = await page.fetch(requestWith(token));
    if (!isTokenRefused(response)) return response;
    const fresh = await keeper.replace(token).catch(() => token);
    // Another user may have signed in meanwhile, in another tab. The call is not theirs.
    if (fresh === token || userOf(fresh).id !== userOf(token).id) return response;
    const again = orNull(() => requestWith(fresh));
    // From here on an error is the answer: the service may have done what the call asks for.
    return again ? page.fetch(again) : response;
  };
}

/** Null for a body that was a stream: it is used up and cannot be sent again, so the refusal is the answer. */
function orNull(make: () => Request): Request | null {
  try {
    return make();
  } catch {
    return null;
  }
}

/** Without a user the call has no token, for open doors. If it is unknown whether there is a user, the call fails. */
function nullIfSignedOut(error: AuthError): null {
  if (error.code === 'session_not_found') return null;
  throw error;
}

/** RFC 6750 §3.1. Another origin's header is only visible if its CORS exposes WWW-Authenticate. */
function isTokenRefused({ status, headers }: Response): boolean {
  return status === 401 && /error="?invalid_token/.test(headers.get('www-authenticate') ?? '');
}
