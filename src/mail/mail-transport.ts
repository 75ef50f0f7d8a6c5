import type { MailContent } from './mail-facts.ts';

/** A mail that is ready to go. */
export type OutgoingMail = MailContent & {
  /** The same at each attempt. */
  id: string;
  to: string;
};

/** Where mails go. */
export type MailTransport = {
  /**
   * @param signal aborts the attempt: nothing of it goes out later
   * @throws SmtpFailure, or whatever else went wrong
   */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<void>;
  /** Ends what is still under way; its mails fail. */
  close(): void;
};
