/** The templates cannot be used. The message says which file, and why. */
export class MailTemplateError extends Error {
  override readonly name = 'MailTemplateError';
}
