import { isUtf8 } from 'node:buffer';
import { readFileSync, statSync } from 'node:fs';

/** Some 100,000 words. */
const MAX_BYTES = 1024 * 1024;

/** What is wrong with PASSWORD_BLOCKLIST_FILE, in words that complete the name of the setting; null if nothing is. */
export function blocklistProblem(path: string): string | null {
  try {
    const file = statSync(path);
    if (!file.isFile()) return 'names no file; name a file with words, one a line, or unset it';
    if (file.size > MAX_BYTES) return 'the file is larger than 1 MiB; take words out of it';
    return isUtf8(readFileSync(path)) ? null : 'the file is not in UTF-8; save it so';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return `cannot be read (${code}); name a file that the server may read, or unset it`;
  }
}

/** The words of a file that was checked, one a line; none without a file. @throws what reading it throws */
export function readBlocklist(path: string | undefined): string[] {
  if (path === undefined) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}
