import { LRUCache } from 'lru-cache';
import type { AuditService } from '../audit/audit-service.ts';
import { outcomeOf } from '../core/channels.ts';
import type { Device } from '../sessions/device.ts';
import type { FoundAccount } from './account-store.ts';

/** Why a password was refused, for operators alone: whoever guesses is told the same each time. */
export type FailureReason =
  | 'unknown_address'
  | 'banned'
  | 'no_password'
  | 'wrong_password'
  | 'not_verified'
  /** Between the check of the password and the session. */
  | 'account_changed'
  | 'too_many_guesses';

/** Who shows a password: a visitor, or somebody who is signed in already. */
type Guesser = { device: Device; session?: { userId: string; id: string } };

/** What is known of a guess so far. */
export type GuessNotes = {
  /** For whom it is, once that has been looked up. @param email canonical */
  about(email: string, found: FoundAccount | null): void;
  /** Why it fails, if it fails from here on. */
  otherwise(reason: FailureReason): void;
};

export type FailedSignIns = ReturnType<typeof createFailedSignIns>;

/**
 * Of the guesses that are too many, one in this time is enough. All of them would make an account's events so many that it
 * could not be deleted in the time that a transaction has, and anybody can guess.
 */
const TOO_MANY_EVERY_MS = 15 * 60_000;
const MOST_REMEMBERED = 10_000;

/**
 * Writes down why passwords are refused, after the answer, whose time stays the same. An address without an account stands
 * there as a pseudonym: people type a password into the wrong field.
 */
export function createFailedSignIns({ note }: Pick<AuditService, 'note'>, nameOf: (email: string) => string) {
  const tooMany = new LRUCache<string, true>({ max: MOST_REMEMBERED, ttl: TOO_MANY_EVERY_MS });

  return {
    /** @throws what `work` throws */
    async watch<T>(guesser: Guesser, work: (notes: GuessNotes) => Promise<T>): Promise<T> {
      const failure = { reason: 'unknown_address' as FailureReason, userId: null as string | null, name: '' };
      try {
        return await work({
          about(email, found) {
            // Whether it is written or not, so that it takes as long.
            failure.name = nameOf(email);
            failure.userId = found?.id ?? null;
            failure.reason = reasonOf(found);
          },
          otherwise(reason) {
            failure.reason = reason;
          },
        });
      } catch (error) {
        const outcome = outcomeOf(error);
        if (outcome === 'rate_limited') failure.reason = 'too_many_guesses';
        if (outcome === 'invalid_credentials' || (outcome === 'rate_limited' && isFirst(failure)))
          write(guesser, failure);
        throw error;
      }
    },
  };

  function isFirst({ name }: Failure): boolean {
    if (tooMany.has(name)) return false;
    tooMany.set(name, true);
    return true;
  }

  type Failure = { reason: FailureReason; userId: string | null; name: string };

  function write({ device, session }: Guesser, { reason, userId, name }: Failure): void {
    note({
      kind: 'sign_in.failed',
      userId,
      actorId: session?.userId ?? null,
      ...(session && { sessionId: session.id }),
      device,
      details: {
        reason,
        ...(userId === null && { address: name }),
        ...(session && { step: 'confirmation' }),
      },
    });
  }
}

function reasonOf(found: FoundAccount | null): FailureReason {
  if (found === null) return 'unknown_address';
  if (found.status !== 'active') return 'banned';
  return found.passwordHash === null ? 'no_password' : 'wrong_password';
}
