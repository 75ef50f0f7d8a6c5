import { isMailAddress, type Sender } from './mail-address.ts';
import type { OutgoingMail } from './mail-transport.ts';

/** What every transport is told not to do: a text that looks like a path or a URL must stay a text. */
export const CLOSED_SOURCES = { disableFileAccess: true, disableUrlAccess: true };

/**
 * A mail as Nodemailer takes it. The envelope is explicit: where a mail goes never follows from its headers.
 * @throws TypeError when the address is not one plain mailbox
 */
export function composeMail({ id, to, subject, text, html }: OutgoingMail, from: Sender) {
  if (!isMailAddress(to)) throw new TypeError('a mail can only go to one plain address');
  return {
    ...CLOSED_SOURCES,
    envelope: { from: from.address, to: [to] },
    from,
    // Never with a name: what users call themselves must not reach a header.
    to: { name: '', address: to },
    subject,
    text,
    html,
    // A crash may send a mail twice. With one id, many mailboxes show it once.
    messageId: `<${id}@${from.address.slice(from.address.lastIndexOf('@') + 1)}>`,
    headers: {
      // RFC 3834 §5: out-of-office programs do not answer.
      'Auto-Submitted': 'auto-generated',
    },
  };
}
