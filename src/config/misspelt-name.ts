/**
 * The setting that an unknown environment variable was probably meant to be. A variable is near to a setting if one slip
 * in each word, or one in the whole, is the difference: a letter too many, too few or wrong, or two swapped. Capitals and
 * the marks between words do not count.
 *
 * Our own lines instead of a package: packages measure the distance of Levenshtein, for which two swapped letters are
 * as far apart as `REDIS_SSL` and `REDIS_URL`.
 */
export function findMeant(name: string, settings: readonly string[]): string | undefined {
  const words = wordsOf(name);
  return settings.find((setting) => isNear(words, wordsOf(setting)));
}

function wordsOf(name: string): string[] {
  return name
    .toUpperCase()
    .split(/[_.-]+/)
    .filter((word) => word !== '');
}

function isNear(words: string[], others: string[]): boolean {
  if (isOneSlip(words.join(''), others.join(''))) return true;
  return words.length === others.length && words.every((word, at) => isOneSlip(word, String(others[at])));
}

/** Whether two texts are the same but for one slip at most. Where they begin to differ, only one kind of slip fits. */
function isOneSlip(text: string, other: string): boolean {
  let start = 0;
  while (start < text.length && text[start] === other[start]) start += 1;
  const [a, b] = [text.slice(start), other.slice(start)];
  if (a === b || a.slice(1) === b || a === b.slice(1) || a.slice(1) === b.slice(1)) return true;
  return a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2);
}
