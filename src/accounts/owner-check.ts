import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Device } from '../sessions/device.ts';
import type { SessionRecord } from '../sessions/session-rules.ts';
import type { AccountStore } from './account-store.ts';
import type { FailedSignIns, GuessNotes } from './failed-sign-ins.ts';
import type { PasswordCheck } from './password-check.ts';

const RECENT_MS = 10 * 60_000;

type OwnerCheckParts = {
  store: AccountStore;
  passwordCheck: PasswordCheck;
  failures: FailedSignIns;
  clock: DatabaseClock;
};

export type OwnerCheck = ReturnType<typeof createOwnerCheck>;

/** Before a grave change: an open browser that somebody has found is not enough. */
export function createOwnerCheck({ store, passwordCheck, failures, clock }: OwnerCheckParts) {
  return {
    /**
     * Makes sure that it is the owner who asks: by the password, or by having signed in within ten minutes.
     * @param password undefined: none was given
     * @throws AppError `invalid_credentials` for a wrong password, `reauthentication_required` without one after too long,
     *   `not_signed_in` when the account is gone; `rate_limited`, `overloaded`, `unavailable`
     */
    async require(session: SessionRecord, password: string | undefined, device: Device): Promise<void> {
      if (password === undefined) {
        if (clock.now() - session.authenticatedAt < RECENT_MS) return;
        throw new AppError('reauthentication_required');
      }
      await failures.watch({ session, device }, (notes) => confirm(session, password, notes));
    },
  };

  async function confirm(session: SessionRecord, password: string, notes: GuessNotes): Promise<void> {
    const found = await store.findByEmail(session.claims.email);
    if (found === null || found.id !== session.userId) throw new AppError('not_signed_in');
    const { email, passwordHash: hash } = found;
    notes.about(email, found);
    if (!(await passwordCheck.matches({ email, hash, password, knownAs: session.id })))
      throw new AppError('invalid_credentials');
  }
}
