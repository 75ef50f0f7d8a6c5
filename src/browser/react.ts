import type { Auth, AuthState } from './index.ts';

/** The only part of React that is used, so that any version of React will do. */
type ReactParts = {
  useSyncExternalStore<Snapshot>(
    subscribe: (onChange: () => void) => () => void,
    getSnapshot: () => Snapshot,
    getServerSnapshot: () => Snapshot,
  ): Snapshot;
};

/**
 * Makes the hook `useAuth()`, which gives the state: who is signed in, never the token.
 * @example export const useAuth = createUseAuth(React, auth);
 */
export function createUseAuth(
  { useSyncExternalStore }: ReactParts,
  {
    subscribe,
    getSnapshot,
    getServerSnapshot,
  }: Pick<Auth, 'subscribe' | 'getSnapshot' | 'getServerSnapshot'>,
): () => AuthState {
  return () => useSyncExternalStore(subscribe, getSnapshot, getServerSnapshot);
}
