import type { AuthError } from './auth-error.ts';
import type { Call } from './calls.ts';
import type { User } from './claims.ts';

/** What a page may show, never the token. `unknown`: the server was not asked or has not answered. */
export type AuthState =
  | { readonly status: 'unknown' | 'signed-out'; readonly user: null }
  | { readonly status: 'signed-in'; readonly user: User };

export const UNKNOWN: AuthState = { status: 'unknown', user: null };
export const SIGNED_OUT: AuthState = { status: 'signed-out', user: null };

export type AuthStateStore = ReturnType<typeof createAuthState>;

/** The state of the page, which the tokens of all audiences share. */
export function createAuthState(call: Call) {
  const listeners = new Set<(state: AuthState) => void>();
  const resets = new Set<() => void>();
  let state = UNKNOWN;
  let epoch = 0;

  return {
    ask,
    change,
    enter,
    subscribe,
    getSnapshot: () => state,
    /** Counts sign-ins and sign-outs: an answer to a request from before the last one is ignored. */
    getEpoch: () => epoch,
    /** @param reset drops what belongs to the last user; called by `change` */
    onChange: (reset: () => void) => void resets.add(reset),
  };

  /** After a sign-in or sign-out: drops all tokens, and the answers to requests that are still running. */
  function change(next: AuthState): void {
    epoch++;
    for (const reset of resets) reset();
    show(next);
  }

  /** The user of a new token. If it is another one, the tokens of the last user are dropped. */
  function enter(user: User): void {
    const next: AuthState = { status: 'signed-in', user };
    if (state.user && state.user.id !== user.id) change(next);
    else show(next);
  }

  /** Calls the server. Any answer that the user is signed out changes the state. */
  async function ask<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    const asked = epoch;
    try {
      return await call<Answer>(method, path, body);
    } catch (error) {
      const { status, code } = error as AuthError;
      const isOver = path === '/token' ? status === 404 : code === 'not_signed_in';
      if (isOver && asked === epoch) change(SIGNED_OUT);
      throw error;
    }
  }

  function show(next: AuthState): void {
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = next;
    // Each in a microtask of its own: if a listener throws, the call that led here must not fail.
    for (const listener of listeners) queueMicrotask(() => listener(next));
  }

  /** Calls back at each later change of the state. @returns a function that ends this */
  function subscribe(listener: (state: AuthState) => void): () => void {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }
}
