import { createCall } from './calls.ts';
import type { User } from './claims.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import type { Page } from './page.ts';
import { type AuthState, createTokenKeeper, SIGNED_OUT, UNKNOWN } from './token-keeper.ts';

export { AuthError, type FieldError } from './auth-error.ts';
export type { User } from './claims.ts';
export type { Page } from './page.ts';
export type { AuthState } from './token-keeper.ts';

export type AuthOptions = {
  /** Where the auth server is, its path prefix included: `https://auth.example.com` or `/auth`. */
  url: string;
  /** Origins that `fetch` sends the access token to. The page's own one, unless given. */
  allowedOrigins?: string[];
  /** Whether each route change asks the server (the default), or only those that find no fresh token. */
  routeChange?: 'always' | 'when-stale';
};

export type Credentials = { email: string; password: string };

/** A signed-in device; times are RFC 3339. */
export type Session = {
  id: string;
  /** This very device. */
  current: boolean;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
  ip: string | null;
  user_agent: string | null;
};

export type Auth = ReturnType<typeof createAuth>;

/**
 * The browser's side of Doorward. Have one per page: it keeps the access token in memory, fresh, and out of every
 * other script's reach.
 * @param page the browser; tests bring their own
 */
export function createAuth(options: AuthOptions, page: Page = globalThis as unknown as Page) {
  const url = options.url.replace(/\/$/, '');
  const keeper = createTokenKeeper(page, createCall(page, url));
  const { ask, change, renew, subscribe } = keeper;
  // The tabs share the cookie, and tell each other that it has changed; nothing else is sent.
  const channel = new page.BroadcastChannel(`doorward ${url}`);
  channel.onmessage = ({ data }) => (data === 'out' ? change(SIGNED_OUT) : startOver());
  for (const wake of ['visibilitychange', 'focus', 'online']) page.addEventListener(wake, keeper.wake);
  // Back from the back/forward cache, which is deaf: somebody else may have signed in.
  page.addEventListener('pageshow', ({ persisted }) => persisted && startOver());

  return {
    /** Makes an account and signs in. @returns null when the address is to be confirmed first @throws AuthError */
    signUp: (credentials: Credentials) => enter('/signup', credentials),

    /** @returns null when the address is to be confirmed first @throws AuthError */
    signIn: (credentials: Credentials) => enter('/login', credentials),

    /** Ends the session, in all tabs. @throws AuthError when that could not be done: the user is still signed in then */
    async signOut(): Promise<void> {
      await ask('POST', '/logout').catch((error) => {
        if (error.code !== 'not_signed_in') throw error;
      });
      change(SIGNED_OUT);
      channel.postMessage('out');
    },

    /** An access token to send, at once if there is one. @throws AuthError: `session_not_found`, else it cannot be known */
    accessToken: keeper.accessToken,

    /**
     * `fetch` that adds the access token for the allowed origins. It leaves an `Authorization` of yours alone, refuses
     * redirects of requests that it added to, and repeats a call once if the token was refused as `invalid_token`.
     */
    fetch: createGuardedFetch(page, keeper, options.allowedOrigins ?? [page.location.origin]),

    /** To be called at each route change. @returns what is known then; it never rejects */
    async onRouteChange(): Promise<AuthState> {
      if (options.routeChange !== 'when-stale' || !keeper.isSettled()) await renew();
      return keeper.getSnapshot();
    },

    /** Calls back whenever it turns out that nobody is signed in (any more), once. @returns how to end that */
    onSignedOut: (callback: () => void) => subscribe((state) => state.status === 'signed-out' && callback()),

    /** A token for one call of one service. It is not kept. @throws AuthError */
    async singleUseToken(audience: string): Promise<string> {
      const answer = await ask<{ access_token: string }>('POST', '/token', { single_use: true, audience });
      return answer.access_token;
    },

    /** Where the user is signed in, the latest used first. @throws AuthError */
    sessions: async () => (await ask<{ sessions: Session[] }>('GET', '/sessions')).sessions,

    /** Signs one device out. @throws AuthError */
    async endSession(id: string): Promise<void> {
      await ask('DELETE', `/sessions/${id}`);
      // It may have been this one.
      await renew();
    },

    /** Signs all other devices out. @throws AuthError */
    endOtherSessions: async (): Promise<void> => void (await ask('DELETE', '/sessions')),

    /** Calls back at each change of the state. @returns how to end that */
    subscribe,

    /** The state: who is signed in, never the token. The same object until it changes. */
    getSnapshot: keeper.getSnapshot,
  };

  async function enter(path: string, credentials: Credentials): Promise<User | null> {
    const { user } = await ask<{ user?: User }>('POST', path, credentials);
    if (!user) return null;
    const { id, email, email_verified } = user;
    change({ status: 'signed-in', user: { id, email, email_verified } });
    channel.postMessage('in');
    return user;
  }

  function startOver(): void {
    change(UNKNOWN);
    void renew();
  }
}
