import { dictionary } from '@zxcvbn-ts/language-common';

const MAX_LENGTH = 256;
const MIN_WORD_LETTERS = 4;

const commonPasswords = new Set(dictionary['passwords-common']);

type PasswordPolicy = {
  /** In code points. */
  minLength: number;
  /** The canonical address of the account. */
  email: string;
};

/**
 * The form of a password that is counted, compared and hashed, so that it is the same from every keyboard: NFC.
 * NIST SP 800-63B-4 §3.1.1.2 and RFC 8265 §4.2.2; not NFKC (as in SP 800-63B-3), which makes different passwords equal.
 */
export function normalizePassword(password: string): string {
  return password.normalize('NFC');
}

/**
 * The problems of a new password, each a sentence for the user; empty if the password is good. Existing passwords are
 * never checked. Length is in code points after normalizing. There are no rules about kinds of characters, and a phrase
 * may contain any word: only the password as a whole is compared (NIST SP 800-63B-4 §3.1.1.2).
 */
export function checkPassword(password: string, { minLength, email }: PasswordPolicy): string[] {
  const normalized = normalizePassword(password);
  const length = Array.from(normalized).length;
  if (length < minLength) return [`Use at least ${minLength} characters.`];
  if (length > MAX_LENGTH) return [`Use at most ${MAX_LENGTH} characters.`];

  const comparable = toComparable(normalized);
  const problems: string[] = [];
  if (commonPasswords.has(comparable)) problems.push('Too many people use this password. Choose another.');
  if (isMadeOfEmail(comparable, toComparable(email))) {
    problems.push('This password is a part of your e-mail address. Choose another.');
  }
  // UAX #15 §12.1: unassigned characters may normalize differently after an upgrade, and lock the user out.
  if (/\p{Cn}/u.test(normalized))
    problems.push('It has a character that this server does not know. Leave it out.');
  return problems;
}

function toComparable(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/** Whether the password is a part of the address, or a word of it with only digits and punctuation around it. */
function isMadeOfEmail(password: string, email: string): boolean {
  const [local = '', domain = ''] = email.split('@');
  const parts = [email, local, domain, domain.replace(/\.[^.]*$/, '')];
  const words = [...parts.map(trimToLetters), ...(email.match(/[\p{L}\p{M}]+/gu) ?? [])];
  const core = trimToLetters(password);
  return parts.includes(password) || (core.length >= MIN_WORD_LETTERS && words.includes(core));
}

function trimToLetters(text: string): string {
  return text.replace(/^[^\p{L}\p{M}]+|[^\p{L}\p{M}]+$/gu, '');
}
