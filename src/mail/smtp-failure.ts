import { Undeliverable } from '../outbox/outbox-rules.ts';

/** What Nodemailer puts on its errors. */
type SmtpError = Error & { code?: string; command?: string; response?: string; responseCode?: number };

/** The server said no (RFC 5321 §4.2.1), or could not be talked to. */
class SmtpFailure extends Error {
  override readonly name = 'SmtpFailure';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Refusals of this very mail. After other commands, a refusal is about how we are set up, which an operator can mend. */
const ABOUT_THE_MAIL = ['RCPT TO', 'DATA'];
/** "Authentication required" and "authentication failed" (RFC 4954 §6), which some servers say only then. */
const ABOUT_US = [530, 535];

/** What an operator can do after a refusal of these. */
const HINTS: Record<string, string> = {
  AUTH: ': look at user and password in SMTP_URL',
  STARTTLS: ': it offers no encryption there; is the port in SMTP_URL right, or is it one for smtps://?',
};

/**
 * The error of an attempt, without the words of the server: they may quote the recipient's address.
 * @returns `Undeliverable` when trying again is of no use
 */
export function smtpFailure(error: unknown): unknown {
  const { code = 'ESMTP', command = 'CONN', response = '', responseCode, message } = error as SmtpError;
  // Nothing was said, so the message is of this machine: a time-out, a name that does not resolve, a certificate.
  if (responseCode === undefined) return new SmtpFailure(code, message);
  const [, enhanced = ''] = /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(response) ?? [];
  const hint = HINTS[command.split(' ')[0] as string] ?? '';
  const said = `the mail server answered ${[responseCode, enhanced].join(' ').trim()} to ${command}${hint}`;
  const isFinal = responseCode >= 500 && ABOUT_THE_MAIL.includes(command) && !ABOUT_US.includes(responseCode);
  const word = `SMTP_${responseCode}`;
  return isFinal ? new Undeliverable(word, said) : new SmtpFailure(word, said);
}
