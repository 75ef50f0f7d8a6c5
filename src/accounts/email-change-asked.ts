import Type from 'typebox';
import type { CodeService } from '../codes/code-service.ts';
import type { Transact } from '../db/database.ts';
import type { MailService } from '../mail/mail-service.ts';
import type { LaneSettings } from '../outbox/outbox-lane.ts';
import { sendCodeMail } from './code-mail.ts';
import type { EmailChangeStore } from './email-change-store.ts';
import type { MailLimit } from './mail-limit.ts';

const HOUR_MS = 3_600_000;

/** A signed-in user who wants another address. */
export const EmailChangeAsked = Type.Object({
  userId: Type.String(),
  /** Canonical. */
  email: Type.String(),
  asTyped: Type.String(),
  /** `Accept-Language` of the request. */
  language: Type.Union([Type.String(), Type.Null()]),
});

type AskedParts = {
  transact: Transact;
  store: EmailChangeStore;
  codes: CodeService;
  mail: MailService;
  mailLimit: MailLimit;
};

/**
 * Sends the code to the new address, if it is free. That is looked up here and not by the request, which so takes the same
 * time for a free and a taken address.
 */
export function emailChangeAskedLane(parts: AskedParts): LaneSettings<typeof EmailChangeAsked> {
  const { transact, store, mailLimit } = parts;
  return {
    kind: 'email_change_asked',
    payload: EmailChangeAsked,
    async deliver({ userId, email, asTyped, language }, { ageMs }) {
      // Nobody waits for a mail that long, and a long outage leaves no dead messages.
      if (ageMs > HOUR_MS || !(await mailLimit.tryTake(email))) return;
      await transact(async (transaction) => {
        const asker = await store.findAsker(transaction, { userId, email });
        if (asker === null) return;
        await sendCodeMail(transaction, parts, {
          template: 'change_email',
          wish: { userId, purpose: 'change_email', email, context: { as_typed: asTyped } },
          locale: asker.locale ?? language,
          more: {},
        });
      });
    },
    isAwaited: false,
    atOnce: 5,
    deadlineMs: 5_000,
    retry: { firstDelayMs: 1_000, maxDelayMs: 30_000, maxAttempts: 1_000 },
  };
}
