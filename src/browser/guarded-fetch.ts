import type { AuthError } from './auth-error.ts';
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

    const send = async (value: string) => {
      headers.set('authorization', `Bearer ${value}`);
      // A redirect may lead to another origin, and older browsers keep the header then.
      return page.fetch(new page.Request(input, { ...init, headers, redirect: 'error' }));
    };
    const response = await send(token);
    if (!isTokenRefused(response)) return response;
    await keeper.renew();
    const fresh = await keeper.accessToken().catch(() => token);
    // A body that was a stream is used up and cannot be sent again: then the refusal is the answer.
    return fresh === token ? response : send(fresh).catch(() => response);
  };
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
