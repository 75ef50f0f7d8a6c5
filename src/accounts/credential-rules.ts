import { validationFailed } from '../core/errors.ts';
import { checkPassword, type PasswordPolicy } from '../passwords/password-policy.ts';
import { parseEmailAddress } from './email-address.ts';

export type CredentialRules = ReturnType<typeof createCredentialRules>;

/** What an address and a new password must be. Each refusal names the field that is wrong, by its JSON Pointer. */
export function createCredentialRules(policy: PasswordPolicy) {
  return {
    /** @throws AppError `validation_failed` */
    readEmail(email: string, path = '/email'): { canonical: string; asTyped: string } {
      const parsed = parseEmailAddress(email);
      if ('problem' in parsed) throw validationFailed([{ path, message: parsed.problem }]);
      return parsed;
    },

    /**
     * @param email of the account, canonical: a password must not be made of it
     * @throws AppError `validation_failed`
     */
    async requireGoodPassword(password: string, email: string, path = '/password'): Promise<void> {
      const problems = checkPassword(password, email, policy);
      if (problems.length === 0) return;
      throw validationFailed(problems.map((message) => ({ path, message })));
    },
  };
}
