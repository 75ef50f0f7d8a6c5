import { randomBytes, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import type { Config } from '../../src/config/config.ts';
import type { Log } from '../../src/core/log.ts';
import { outbox as rows } from '../../src/db/schema.ts';
import type { Mail, MailTemplate } from '../../src/mail/mail.ts';
import { openMail } from '../../src/mail/open-mail.ts';
import { openOutbox } from '../../src/outbox/open-outbox.ts';
import { openPostgres } from '../support/adapters.ts';
import { createPlatform } from '../support/platform.ts';

export const MINUTE_MS = 60_000;

export type Line = { level: 'debug' | 'warn' | 'error'; context: Record<string, unknown>; message: string };

/** A reset mail with what a test wants to be different. */
export function resetMail(changes: Partial<Mail<'reset_password'>> = {}): Mail<'reset_password'> {
  return {
    template: 'reset_password',
    userId: randomUUID(),
    to: 'ada@example.com',
    locale: null,
    data: { link: randomBytes(32).toString('base64url'), code: '7K3M-9QXD', goodForMs: 10 * MINUTE_MS },
    ...changes,
  };
}

/** The mails of a deployment on PostgreSQL, and replicas that send them. */
export async function sendMails(t: Test, common: Partial<Config> = {}) {
  const opened = await openPostgres();
  const { database, transact } = opened;
  const lines: Line[] = [];
  const keep = (level: Line['level']) => (context: object, message: string) =>
    void lines.push({ level, context: context as Line['context'], message });
  const log: Log = { debug: keep('debug'), warn: keep('warn'), error: keep('error') };
  const keyEncryptionKey = randomBytes(32);

  function openReplica(config: Partial<Config> = {}, key = keyEncryptionKey) {
    const platform = createPlatform(database, {
      keyEncryptionKey: key,
      log,
      config: { EMBEDDED: false, ...common, ...config },
    });
    const { service: outbox, close: closeOutbox } = openOutbox(platform);
    const mail = openMail(platform, outbox);
    t.teardown(mail.close);
    t.teardown(closeOutbox);
    return {
      ...mail,
      outbox,
      /** Writes a mail, and lets it go out. */
      send: <Template extends MailTemplate>(wish: Mail<Template>) =>
        transact((transaction) => mail.service.send(transaction, wish)),
    };
  }

  const waiting = () => database.select().from(rows);
  return { ...opened, openReplica, lines, waiting, keyEncryptionKey };
}
