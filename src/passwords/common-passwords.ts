import { readFileSync } from 'node:fs';

/** One a line, in lower case; made by `npm run common-passwords`. */
const commonPasswords = new Set(
  readFileSync(new URL('./common-passwords.txt', import.meta.url), 'latin1')
    .trimEnd()
    .split('\n'),
);

/**
 * Whether many people use a password: it is among the 5,000 most common ones of its own length or longer, for each
 * length from 8 to 20, or in a second list. Compare in lower case and NFKC.
 */
export function isCommonPassword(password: string): boolean {
  return commonPasswords.has(password);
}
