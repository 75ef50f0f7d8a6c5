/** The two forms of a code in a mail. Null: `CODE_STYLE` leaves it out. */
export type CodeInMail = { link: string | null; code: string | null; goodForMs: number };

/** Where and when something was done, as the owner is told. */
type Deed = { at: Date; ip: string | null; userAgent: string | null };

/** The mails, and what each one says beside its own text. */
type MailData = {
  /** Please show that this is your address. */
  verify_email: CodeInMail;
  /** Somebody signed up with your address, but you have an account; the code sets a new password. */
  known_address: CodeInMail;
  /** The code sets a new password. */
  reset_password: CodeInMail;
  /** An operator has made the account; the code sets its password. */
  invitation: CodeInMail;
  /** An operator has taken the password away; the code sets a new one. */
  reset_forced: CodeInMail;
  /** The password was changed or reset; the code is for owners who did not do that. */
  password_changed: CodeInMail & Deed;
  /** To the new address: the code makes it the account's. */
  change_email: CodeInMail;
  /** To the former address: the code takes it back. */
  email_changed: CodeInMail & Deed & { newEmail: string };
  /** A sign-in from a device that was not seen before; the code is for owners who did not do that. */
  new_device: CodeInMail & Deed;
  /** The account will be deleted; the code undoes that. */
  deletion_asked: CodeInMail & { dueAt: Date };
  /** The account is deleted. */
  account_deleted: Record<string, never>;
};

export type MailTemplate = keyof MailData;

export type Mail<Template extends MailTemplate = MailTemplate> = {
  template: Template;
  /** The account that it is about; its mails that are still waiting are dropped when it is deleted. */
  userId: string;
  /** Canonical: the envelope's only recipient. */
  to: string;
  /** The language that the user chose, or `Accept-Language`; null: English. */
  locale: string | null;
  data: MailData[Template];
};
