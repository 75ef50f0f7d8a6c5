import type { AuditService } from '../audit/audit-service.ts';
import type { Transact } from '../db/database.ts';
import type { LeakedPasswords } from '../passwords/leaked-passwords.ts';
import type { Device } from '../sessions/device.ts';
import type { LeakStore, PasswordOwner } from './leak-store.ts';

/** Each keeps a password in memory. More are not looked up: their next sign-in will be. */
const AT_ONCE = 100;

type LeakWatchParts = {
  leaked: LeakedPasswords;
  store: LeakStore;
  transact: Transact;
  audit: AuditService;
  /** Called when a finding could not be written down. */
  onError(error: unknown): void;
};

export type LeakWatch = ReturnType<typeof createLeakWatch>;

/**
 * Looks up passwords that were right, after the answer: nobody waits for it, so that it does not tell by the time whether a
 * password was right. A leaked one is noted, and not refused: its owner could not change it then.
 */
export function createLeakWatch({ leaked, store, transact, audit, onError }: LeakWatchParts) {
  const underWay = new Set<Promise<void>>();

  return {
    /** Begins to look up the password of someone who has just signed in with it. */
    look(owner: PasswordOwner, password: string, signIn: { sessionId: string; device: Device }): void {
      if (!leaked.isOn || underWay.size >= AT_ONCE) return;
      const work = note(owner, password, signIn)
        .catch(onError)
        .finally(() => underWay.delete(work));
      underWay.add(work);
    },

    /** Lets what is under way end. */
    async close(): Promise<void> {
      await Promise.all(underWay);
    },
  };

  async function note(
    owner: PasswordOwner,
    password: string,
    signIn: { sessionId: string; device: Device },
  ): Promise<void> {
    if (!(await leaked.isLeaked(password))) return;
    await transact(async (transaction) => {
      if (!(await store.mark(transaction, owner))) return;
      const event = { kind: 'password.found_leaked', userId: owner.id, actorId: owner.id } as const;
      await audit.record(transaction, { ...event, ...signIn });
    });
  }
}
