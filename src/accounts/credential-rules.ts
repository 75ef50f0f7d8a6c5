import { validationFailed } from '../core/errors.ts';
import type { LeakedPasswords } from '../passwords/leaked-passwords.ts';
import { checkPassword, type PasswordPolicy } from '../passwords/password-policy.ts';
import { parseEmailAddress } from './email-address.ts';

const LEAKED = 'This password is in a list of passwords that were stolen elsewhere. Choose another.';

export type CredentialRules = ReturnType<typeof createCredentialRules>;

/** What an address and a new password must be. Each refusal names the field that is wrong, by its JSON Pointer. */
export function createCredentialRules(policy: PasswordPolicy, leaked: LeakedPasswords) {
  return {
    /** @throws AppError `validation_failed` */
    readEmail(email: string, path = '/email'): { canonical: string; asTyped: string } {
      const parsed = parseEmailAddress(email);
      if ('problem' in parsed) throw validationFailed([{ path, message: parsed.problem }]);
      return parsed;
    },

    /**
     * Takes up to half a second longer when the lists of leaked passwords are asked and do not answer.
     * @param email of the account, canonical: a password must not be made of it
     * @throws AppError `validation_failed`
     */
    async requireGoodPassword(password: string, email: string, path = '/password'): Promise<void> {
      const problems = checkPassword(password, email, policy);
      if (problems.length === 0 && (await leaked.isLeaked(password))) problems.push(LEAKED);
      if (problems.length === 0) return;
      throw validationFailed(problems.map((message) => ({ path, message })));
    },
  };
}
