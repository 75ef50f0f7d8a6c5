import { createTransport } from 'nodemailer';
import type { SmtpTarget } from '../config/smtp-target.ts';
import { CLOSED_SOURCES, composeMail } from './compose-mail.ts';
import type { Sender } from './mail-address.ts';
import type { MailTransport } from './mail-transport.ts';
import { smtpFailure } from './smtp-failure.ts';

/** How long a server may take, in milliseconds: to be reached, to greet, and for each answer. */
export type SmtpPatience = { connectMs: number; greetMs: number; answerMs: number };

const PATIENCE: SmtpPatience = { connectMs: 5_000, greetMs: 10_000, answerMs: 15_000 };

/**
 * Sends mails to a server (RFC 5321) over a few connections that stay open.
 * @param atOnce mails under way; as many connections, so that none waits here, where its deadline would end it
 */
export function createSmtpTransport(
  target: SmtpTarget,
  from: Sender,
  atOnce: number,
  { connectMs, greetMs, answerMs }: SmtpPatience = PATIENCE,
): MailTransport {
  const { host, port, encryption, credentials } = target;
  const transport = createTransport({
    ...CLOSED_SOURCES,
    pool: true,
    maxConnections: atOnce,
    // The outbox tries again, and counts; this one must not do so by itself.
    maxRequeues: 0,
    host,
    port,
    secure: encryption === 'tls',
    // Without it a man in the middle could hide that the server offers STARTTLS (RFC 3207 §6).
    requireTLS: encryption === 'starttls',
    ignoreTLS: encryption === 'none',
    tls: { minVersion: 'TLSv1.2' },
    ...(credentials && { auth: { user: credentials.user, pass: credentials.password } }),
    connectionTimeout: connectMs,
    greetingTimeout: greetMs,
    socketTimeout: answerMs,
  });

  return {
    async send(mail, signal) {
      const message = { ...composeMail(mail, from), signal };
      await transport.sendMail(message).catch((error: unknown) => {
        throw smtpFailure(error);
      });
    },
    close: () => transport.close({ force: true }),
  };
}
