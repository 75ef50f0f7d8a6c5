const QWERTY = ['1234567890-=', 'qwertyuiop[]', "asdfghjkl;'", 'zxcvbnm,./'];
const QWERTZ = ['1234567890ß', 'qwertzuiopü+', 'asdfghjklöä#', 'yxcvbnm,.-'];
const AZERTY = ['1234567890', 'azertyuiop', 'qsdfghjklmù', 'wxcvbn,;:!'];
const CYRILLIC = ['1234567890', 'йцукенгшщзхъ', 'фывапролджэ', 'ячсмитьбю'];
const KEYPAD = ['789', '456', '123'];
const ALPHABETS = ['abcdefghijklmnopqrstuvwxyz', 'абвгдеёжзийклмнопрстуфхцчшщъыьэюя', '01234567890'];

/** Characters that a hand or a child's rhyme puts in a row, in both directions. */
const LINES = [QWERTY, QWERTZ, AZERTY, CYRILLIC, KEYPAD]
  .flatMap((rows) => [...rows, ...columnsOf(rows)])
  .concat(ALPHABETS)
  .flatMap((line) => [Array.from(line), Array.from(line).reverse()]);

const LEAST_MEAN_RUN = 2.5; // words reach 2 by chance, such as "property", which has four pairs of neighbours

/**
 * The text that is repeated, the last time perhaps in part: "abc" for "abcabcab". The whole text if nothing is. What a
 * repeated text adds to a password is next to nothing, so it is the repeated text that must be good.
 */
export function repeatedPart(text: string): string {
  const characters = Array.from(text);
  const isPeriod = (period: number) => characters.every((one, at) => one === characters[at % period]);
  for (let period = 1; period <= characters.length / 2; period += 1)
    if (isPeriod(period)) return characters.slice(0, period).join('');
  return text;
}

/**
 * Whether the text is made of sequences, rows or columns of a keyboard, or one key held down: "abcd4321", "qwertyuiop",
 * "1qaz2wsx", "aaabbbccc". Two of them may alternate, as in "q1w2e3r4". The text must be in lower case.
 */
export function isMadeOfRuns(text: string): boolean {
  const characters = Array.from(text);
  const everySecond = [0, 1].map((odd) => characters.filter((_, at) => at % 2 === odd));
  return isFewRuns(characters) || everySecond.every(isFewRuns);
}

function isFewRuns(characters: string[]): boolean {
  let runs = 0;
  for (let at = 0; at < characters.length; at += runLength(characters, at)) runs += 1;
  return runs * LEAST_MEAN_RUN <= characters.length;
}

function runLength(characters: string[], from: number): number {
  const [first = ''] = characters.slice(from, from + 1);
  const held = matchLength(characters, from, () => first);
  const along = LINES.map((line) => {
    const start = line.indexOf(first);
    return start < 0 ? 0 : matchLength(characters, from, (step) => line[start + step]);
  });
  return Math.max(held, ...along);
}

function matchLength(
  characters: string[],
  from: number,
  expected: (step: number) => string | undefined,
): number {
  let length = 1;
  while (from + length < characters.length && characters[from + length] === expected(length)) length += 1;
  return length;
}

/** The keys below one another, from the top. */
function columnsOf(rows: string[]): string[] {
  const keys = rows.map((row) => Array.from(row));
  const length = Math.max(...keys.map((row) => row.length));
  return Array.from({ length }, (_, at) => keys.map((row) => row[at]).join(''));
}
