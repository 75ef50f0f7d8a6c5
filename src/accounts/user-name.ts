import { AppError, validationFailed } from '../core/errors.ts';
import { parseEmailAddress } from './email-address.ts';

/** How commands and calls name a user: the id, or the canonical address. */
export type UserName = { id: string } | { email: string };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Reads the id or the address of a user.
 * @param path where it stood, for the error
 * @throws AppError `validation_failed` for what is neither
 */
export function readUserName(text: string, path: string): UserName {
  if (UUID.test(text)) return { id: text };
  const parsed = parseEmailAddress(text);
  if ('problem' in parsed) throw validationFailed([{ path, message: parsed.problem }]);
  return { email: parsed.canonical };
}

/** The user who was looked for by that name. @throws AppError `not_found` if there is none */
export function requireUser<User>(found: User | null, name: UserName): User {
  if (found !== null) return found;
  const detail =
    'email' in name ? `There is no account with the address ${name.email}.` : 'There is no such user.';
  throw new AppError('not_found', { detail });
}
