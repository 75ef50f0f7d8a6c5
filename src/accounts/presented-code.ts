import Type from 'typebox';
import type { PresentedCode } from '../codes/code-service.ts';
import { Text } from '../http/schemas.ts';
import type { CredentialRules } from './credential-rules.ts';

/** The fields of a body that carry the code of a mail. */
export const PRESENTED_CODE_FIELDS = {
  code: Text({
    maxLength: 64,
    description: 'The code of the link; or the one for typing, then with `email`',
  }),
  email: Type.Optional(
    Text({ maxLength: 320, description: 'With a code for typing: the address that it was sent to' }),
  ),
};

/**
 * The code that a body carries.
 * @throws AppError `validation_failed` when the address is none
 */
export function readPresentedCode(
  { code, email }: { code: string; email?: string },
  rules: CredentialRules,
): PresentedCode {
  return email === undefined ? { link: code } : { email: rules.readEmail(email).canonical, typed: code };
}
