import { isMadeOfRuns, repeatedPart } from './guessable-pattern.ts';
import { createWordList, toComparable, type WordList } from './word-list.ts';

const MAX_LENGTH = 256;

/** What is asked of every new password of this server. */
export type PasswordPolicy = {
  /** In code points. */
  minLength: number;
  /** Names that a guesser tries here first: of the product, and the host that users see. */
  serviceNames: WordList;
  /** What else an operator allows no password to be. */
  blockedWords: WordList;
  /** Whether a text, in lower case and NFKC, is a common password. */
  isCommon: (text: string) => boolean;
};

/**
 * The form of a password that is counted, compared and hashed, so that it is the same from every keyboard: all spaces
 * are the plain space (a Mac makes U+00A0 of Alt+Space), then NFC. RFC 8265 §4.2.2 and NIST SP 800-63B-4 §3.1.1.2; not
 * NFKC (as in SP 800-63B-3), which makes different passwords equal.
 */
export function normalizePassword(password: string): string {
  return password.replace(/\p{Zs}/gu, ' ').normalize('NFC');
}

/**
 * What was hashed before spaces were mapped, or null if it is the same. Older hashes are of this form. Whether there is
 * one is decided by the password that was typed, never by an account, so it may be tried as well without telling an
 * account from an unknown address.
 */
export function formerForm(password: string): string | null {
  const former = password.normalize('NFC');
  return former === normalizePassword(password) ? null : former;
}

/**
 * The problems of a new password, each a sentence for the user; empty if the password is good. Existing passwords are
 * never checked. Length is in code points after normalizing. There are no rules about kinds of characters, and a phrase
 * may contain any word: only the password as a whole is compared (NIST SP 800-63B-4 §3.1.1.2).
 *
 * @param email the canonical address of the account
 */
export function checkPassword(password: string, email: string, policy: PasswordPolicy): string[] {
  const normalized = normalizePassword(password);
  const visible = normalized.replace(INVISIBLE, '');
  const problems = findCharacterProblems(normalized);
  const length = Array.from(visible).length;
  if (length < policy.minLength) return [...problems, `Use at least ${policy.minLength} characters.`];
  if (length > MAX_LENGTH) return [...problems, `Use at most ${MAX_LENGTH} characters.`];

  const guess = GUESSES.find(({ isFirst }) => isFirst(toComparable(visible), email, policy));
  return guess === undefined ? problems : [...problems, `${guess.problem} Choose another.`];
}

// RFC 8265 §4.2.1 and RFC 8264 §9.11, §9.13: controls and what has no width. Two line ends are controls but in name.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{DI}\p{Zl}\p{Zp}]/gu;

function findCharacterProblems(normalized: string): string[] {
  const problems: string[] = [];
  const [invisible] = normalized.match(INVISIBLE) ?? [];
  if (invisible !== undefined) {
    const name = invisible.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
    problems.push(`It has an invisible or control character (U+${name}). Leave it out.`);
  }
  // UAX #15 §12.1: unassigned characters may normalize differently after an upgrade, and lock the user out.
  if (/\p{Cn}/u.test(normalized))
    problems.push('It has a character that this server does not know. Leave it out.');
  return problems;
}

type Guess = {
  problem: string;
  /** Whether the password, in comparable form, is one of the first that a guesser tries. */
  isFirst: (password: string, email: string, policy: PasswordPolicy) => boolean;
};

/** In the order in which they are reported: only the first one is. */
const GUESSES: Guess[] = [
  {
    problem: 'Too many people use this password.',
    isFirst: (password, _email, { isCommon }) => isCommon(password) || isCommon(repeatedPart(password)),
  },
  {
    problem: 'This password is a part of your e-mail address.',
    isFirst: (password, email) => createWordList([email]).holds(password),
  },
  {
    problem: 'This password is the name of this service.',
    isFirst: (password, _email, { serviceNames }) => serviceNames.holds(password),
  },
  {
    problem: 'This service does not allow this password.',
    isFirst: (password, _email, { blockedWords }) => blockedWords.holds(password),
  },
  {
    problem: 'This password repeats a short text.',
    isFirst: (password, _email, { minLength }) => {
      const part = repeatedPart(password);
      return part !== password && Array.from(part).length < minLength;
    },
  },
  {
    problem: 'This password is a sequence of letters, digits or keys.',
    isFirst: (password) => isMadeOfRuns(repeatedPart(password)),
  },
];
