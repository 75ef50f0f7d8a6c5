import type { FoundSession, SessionStore } from '../../src/sessions/session-store.ts';

/** The session of one generate token. */
export async function findSession(store: SessionStore, tokenHash: Buffer): Promise<FoundSession | null> {
  const [found = null] = await store.findAll([tokenHash]);
  return found;
}
