import { repeat } from '../core/repeat.ts';
import type { FoundAccount } from './account-store.ts';
import type { MailWish } from './background-lane.ts';
import type { MailLimit } from './mail-limit.ts';

/** Between a try to sign in and the mail. */
const WRITE_EVERY_MS = 1_000;
/** More wait for their next try: nobody who guesses may fill the memory. */
const MOST_WAITING = 1_000;

type MissingPasswordParts = {
  /** One mail an hour for an address, apart from those that it asks for itself. */
  mailLimit: MailLimit;
  /** Sends a code for a new password, as to one who has forgotten theirs. */
  sendCode(wish: MailWish): Promise<void>;
  mailIsOn: boolean;
  /** Called when a mail could not be written. */
  onError(error: unknown): void;
};

export type MissingPasswords = ReturnType<typeof createMissingPasswords>;

/**
 * Accounts without a password, such as those that were imported without a hash: whoever tries to sign in gets the answer of a
 * wrong password, and the owner gets a mail with which to set one. That is done later, all at once, so that neither the
 * answer nor its time tells that there is such an account.
 */
export function createMissingPasswords({ mailLimit, sendCode, mailIsOn, onError }: MissingPasswordParts) {
  let waiting = new Map<string, MailWish>();

  return {
    /** Notes a sign-in that failed. @param languages the `Accept-Language` of the request */
    note(account: FoundAccount | null, languages: string | null): void {
      const isMissing = account?.status === 'active' && account.passwordHash === null;
      if (!isMissing || !mailIsOn || waiting.size >= MOST_WAITING) return;
      waiting.set(account.email, { email: account.email, languages });
    },

    /** Sends the mails for what was noted. Never fails. */
    async flush(): Promise<void> {
      const wishes = [...waiting.values()];
      waiting = new Map();
      for (const wish of wishes) await send(wish).catch(onError);
    },
  };

  async function send(wish: MailWish): Promise<void> {
    if (await mailLimit.tryTake(wish.email)) await sendCode(wish);
  }
}

/** The same, with a timer that sends what was noted. `close` sends the rest. */
export function openMissingPasswords(parts: MissingPasswordParts) {
  const { note, flush } = createMissingPasswords(parts);
  const writing = repeat(flush, WRITE_EVERY_MS, parts.onError);
  return {
    note,
    async close(): Promise<void> {
      await writing.close();
      await flush();
    },
  };
}
