import Type from 'typebox';
import { v7 as uuidv7 } from 'uuid';
import type { DatabaseClock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Transaction } from '../db/database.ts';
import type { Lane, LaneSettings } from '../outbox/outbox-lane.ts';
import { Undeliverable } from '../outbox/outbox-rules.ts';
import type { Mail, MailTemplate } from './mail.ts';
import { isMailAddress } from './mail-address.ts';
import type { MailFacts } from './mail-facts.ts';
import type { MailSeal } from './mail-seal.ts';
import type { MailTransport } from './mail-transport.ts';
import type { RenderMail } from './render-mail.ts';

/** What features send mails by. */
export type MailService = {
  /** Whether mails can be sent. Otherwise routes that need one answer 404. */
  isOn: boolean;
  /**
   * Writes a mail in the transaction; it goes out once that has been committed. Does nothing when mails are off.
   * @throws TypeError when the address is not one plain mailbox
   */
  send<Template extends MailTemplate>(transaction: Transaction, mail: Mail<Template>): Promise<void>;
  /** Takes back what waits for a user, of whom nothing must be kept. What is under way goes out. */
  withdraw(transaction: Transaction, userId: string): Promise<void>;
};

/** Whom a mail is about, in clear, and the rest, sealed. */
export const MailMessage = Type.Object({
  id: Type.String(),
  userId: Type.String(),
  sealed: Type.String(),
});

/** Mails under way of one process, and connections to the mail server. */
export const MAILS_AT_ONCE = 5;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

/** How mails leave this process. */
type MailOutlet = { transport: MailTransport; render: RenderMail };

type LaneParts = {
  seal: MailSeal;
  clock: DatabaseClock;
  /** Null: mails are off. */
  outlet: MailOutlet | null;
};

/** The mails that wait, and how they go out. */
export function mailLane({ seal, clock, outlet }: LaneParts): LaneSettings<typeof MailMessage> {
  return {
    kind: 'mail',
    payload: MailMessage,
    async deliver({ id, userId, sealed }, { ageMs, signal }) {
      // Written while there was a mail server.
      if (outlet === null) throw new Error('SMTP_URL is not set, and a mail waits for a mail server');
      const text = seal.open({ id, userId }, sealed);
      // Tried again: while the key is being replaced, another replica may open it.
      if (text === null) throw new SealedWithAnotherKey('KEY_ENCRYPTION_KEY does not open this mail');
      const facts: MailFacts = JSON.parse(text);
      if (isTooLate(facts, ageMs))
        throw new Undeliverable('TooLate', 'the code in this mail is not good any more');
      const content = outlet.render(facts, clock.now() - ageMs);
      await outlet.transport.send({ id, to: facts.to, ...content }, signal);
    },
    isAwaited: false,
    atOnce: MAILS_AT_ONCE,
    deadlineMs: 20 * SECOND_MS,
    // For about a day: after 5 s, 10 s, 20 s and so on, in the end four times an hour.
    retry: { firstDelayMs: 5 * SECOND_MS, maxDelayMs: 15 * MINUTE_MS, maxAttempts: 130 },
  };
}

class SealedWithAnotherKey extends Error {
  override readonly name = 'SealedWithAnotherKey';
}

/** Whoever gets a code after its time only wonders why it does not work. */
function isTooLate({ data: { link, code, goodForMs } }: MailFacts, ageMs: number): boolean {
  const hasCode = (link ?? code ?? null) !== null;
  return hasCode && goodForMs !== undefined && ageMs >= goodForMs;
}

type MailServiceParts = { isOn: boolean; seal: MailSeal; lane: Lane<typeof MailMessage> };

/** Writes mails into the outbox. */
export function createMailService({ isOn, seal, lane }: MailServiceParts): MailService {
  return {
    isOn,
    async send(transaction, { template, userId, to, locale, data }) {
      if (!isOn) return;
      if (!isMailAddress(to)) throw new TypeError('a mail can only go to one plain address');
      const id = uuidv7();
      const sealed = seal.seal({ id, userId }, JSON.stringify({ template, to, locale, data }));
      await lane.send(transaction, { id, userId, sealed });
    },
    async withdraw(transaction, userId) {
      await lane.withdraw(transaction, 'userId', userId);
    },
  };
}

/** Call this first in what is of no use without a mail. @throws AppError `not_found` when none can be sent */
export function requireMail({ isOn }: MailService): void {
  if (!isOn) throw new AppError('not_found', { detail: 'This server sends no mails.' });
}
