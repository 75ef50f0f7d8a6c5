import { domainToUnicode } from 'node:url';
import { repeatedPart } from './guessable-pattern.ts';

const MIN_WORD_LETTERS = 4;

/** Names and words that a password must not be, ready to be compared with many passwords. */
export type WordList = {
  /** Whether the password, or what it repeats, is one of them or a part of one, also with digits and punctuation around. */
  holds(password: string): boolean;
};

/** The form in which passwords and words are compared: many characters are written in several ways. */
export function toComparable(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/**
 * A list of words, addresses and host names. A password is held if it, or what it repeats, is a part of one of them, or a
 * word of at least four letters of one with only digits and punctuation around it.
 */
export function createWordList(names: string[]): WordList {
  const parts = new Set<string>();
  const words = new Set<string>();
  for (const part of names
    .map(toComparable)
    .flatMap((name) => [...partsOf(name), ...partsOf(inLetters(name))])) {
    parts.add(part);
    for (const word of [trimToLetters(part), ...(part.match(/[\p{L}\p{M}]+/gu) ?? [])]) words.add(word);
  }
  return {
    holds: (password) =>
      [password, repeatedPart(password)].some((text) => {
        const core = trimToLetters(text);
        return parts.has(text) || (core.length >= MIN_WORD_LETTERS && words.has(core));
      }),
  };
}

/** The name, what stands before and after the @, the domains above, all of them without the top label, and each label. */
function partsOf(name: string): string[] {
  const labels = name.replace(/^.*@/s, '').split('.');
  const domains = labels.map((_, at) => labels.slice(at).join('.'));
  const parts = [name, ...name.split('@'), ...domains];
  return [...parts, ...parts.map((part) => part.replace(/\.[^.]*$/, '')), ...name.split(/[@.]/)];
}

/** The name with the host as people write it: canonical addresses and URLs have it in ASCII. */
function inLetters(name: string): string {
  return name.replace(/[^@]*$/, domainToUnicode);
}

function trimToLetters(text: string): string {
  return text.replace(/^[^\p{L}\p{M}]+|[^\p{L}\p{M}]+$/gu, '');
}
