import { type Account, createAccount } from './account.ts';
import { type AuthState, createAuthState, SIGNED_OUT, UNKNOWN } from './auth-state.ts';
import { createCall } from './calls.ts';
import type { User } from './claims.ts';
import { createGuardedFetch } from './guarded-fetch.ts';
import { currentPage, type Page } from './page.ts';
import { createTokenKeeper, type TokenKeeper } from './token-keeper.ts';

export type { MailCode, Profile, ProfilePatch } from './account.ts';
export { AuthError, type FieldError } from './auth-error.ts';
export type { AuthState } from './auth-state.ts';
export type { User } from './claims.ts';
export { codeFromLink } from './code-from-link.ts';
export type { Page } from './page.ts';

export type AuthOptions = {
  /** URL of the auth server with its path prefix: `https://auth.example.com` or `/auth`. */
  url: string;
  /**
   * The service that the access token is for, one of the server's `AUDIENCES`. Without it the server chooses, usually
   * all of them: then each service that gets the token can use it at the others.
   */
  audience?: string;
  /**
   * Services at origins of their own: `{ 'https://pay.example.com': 'payments' }`. `fetch` sends to each of these
   * origins a token for its audience alone.
   */
  audiences?: Record<string, string>;
  /** Origins that `fetch` sends the access token to, beside those in `audiences`. Default: the page's own origin. */
  allowedOrigins?: string[];
  /** Whether each route change asks the server (the default), or only if there is no fresh token. */
  routeChange?: 'always' | 'when-stale';
};

export type Credentials = { email: string; password: string };

/** A signed-in device; times are RFC 3339. */
export type Session = {
  id: string;
  /** Whether it is this device. */
  current: boolean;
  created_at: string;
  last_seen_at: string;
  expires_at: string;
  ip: string | null;
  user_agent: string | null;
};

export type Auth = ReturnType<typeof createAuth>;

/**
 * The browser's side of Doorward. Make one per page: it keeps a fresh access token in memory, where no other script can
 * read it. On a server that renders pages the state stays `unknown`, and every call fails.
 * @param page the browser; tests pass their own
 */
export function createAuth(options: AuthOptions, page: Page = currentPage()) {
  const url = options.url.replace(/\/$/, '');
  const session = createAuthState(createCall(page, url));
  const { ask, change, subscribe, getSnapshot } = session;
  const keepers = new Map<string | undefined, TokenKeeper>();
  const keeper = keeperFor(options.audience);
  // The tabs share the cookie, so they send each other a message when it changes. Nothing else is sent.
  const channel = new page.BroadcastChannel(`doorward ${url}`);
  channel.onmessage = ({ data }) => (data === 'out' ? change(SIGNED_OUT) : startOver());
  for (const wake of ['visibilitychange', 'focus', 'online']) page.addEventListener(wake, hurry);
  // A page in the back/forward cache gets no messages: another user may have signed in.
  page.addEventListener('pageshow', ({ persisted }) => persisted && startOver());

  const account: Account = createAccount({ ask, enter, leave, check: keeper.renew });
  return Object.assign(account, {
    /** Makes an account and signs in. @returns null if the address must be confirmed first @throws AuthError */
    signUp: (credentials: Credentials) => enter('/signup', credentials),

    /** @returns null if the address must be confirmed first @throws AuthError */
    signIn: (credentials: Credentials) => enter('/login', credentials),

    /** Ends the session, in all tabs. @throws AuthError if that fails: then the user is still signed in */
    async signOut(): Promise<void> {
      await ask('POST', '/logout').catch((error) => {
        if (error.code !== 'not_signed_in') throw error;
      });
      leave();
    },

    /**
     * A valid access token, at once if there is one.
     * @param audience the service that it is for, if it is not that of the options
     * @throws AuthError `session_not_found`, `unknown_audience`; others mean "unknown"
     */
    accessToken: (audience = options.audience) => keeperFor(audience).accessToken(),

    /**
     * `fetch` that adds the access token for the allowed origins. It keeps an `Authorization` header that you set,
     * refuses redirects of requests with the token, and repeats a call once if the token was refused as
     * `invalid_token`. Then it gets another one, or the page is signed out; a body that was a stream or a `Request` is
     * not sent again.
     */
    fetch: createGuardedFetch(page, keepersByOrigin()),

    /** Call it at each route change. @returns the state after that; never rejects */
    async onRouteChange(): Promise<AuthState> {
      hurry();
      if (options.routeChange !== 'when-stale' || !keeper.isSettled()) await keeper.renew();
      return getSnapshot();
    },

    /** Calls back each time the state becomes `signed-out`. @returns a function that ends this */
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
      // It may have been the session of this page.
      await keeper.renew();
    },

    /** Signs all other devices out. @throws AuthError */
    endOtherSessions: async (): Promise<void> => void (await ask('DELETE', '/sessions')),

    /** Calls back at each change of the state. @returns a function that ends this */
    subscribe,

    /** The state: who is signed in, never the token. The same object until it changes. */
    getSnapshot,

    /** The state in which a server renders the page, and in which the browser must begin. */
    getServerSnapshot: () => UNKNOWN,
  });

  async function enter(path: string, body: object): Promise<User | null> {
    const { user } = await ask<{ user?: User }>('POST', path, body);
    if (!user) return null;
    const { id, email, email_verified } = user;
    change({ status: 'signed-in', user: { id, email, email_verified } });
    channel.postMessage('in');
    return user;
  }

  function leave(): void {
    change(SIGNED_OUT);
    channel.postMessage('out');
  }

  function startOver(): void {
    change(UNKNOWN);
    void keeper.renew();
  }

  function hurry(): void {
    for (const each of keepers.values()) each.hurry();
  }

  function keeperFor(audience?: string): TokenKeeper {
    const found = keepers.get(audience) ?? createTokenKeeper(page, session, audience);
    keepers.set(audience, found);
    return found;
  }

  function keepersByOrigin(): Map<string, TokenKeeper> {
    const { allowedOrigins = [page.location.origin], audiences = {} } = options;
    return new Map([
      ...allowedOrigins.map((origin) => [new URL(origin).origin, keeper] as const),
      ...Object.entries(audiences).map(
        ([origin, audience]) => [new URL(origin).origin, keeperFor(audience)] as const,
      ),
    ]);
  }
}
