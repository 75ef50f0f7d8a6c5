type Hindrance = { signs: RegExp; says(user: number | undefined): string };

/**
 * What can be in the way of a folder although the data in it is sound. The signs are error codes of system calls, and
 * the words of SQLite and PostgreSQL for them.
 */
const HINDRANCES: Hindrance[] = [
  {
    signs: /\b(ENOSPC|EDQUOT)\b|no space left|quota exceeded|disk is full/i,
    says: () => 'no space is left on its disk. Free some',
  },
  {
    signs: /\bEROFS\b|read-only file system/i,
    says: () => 'its file system is read-only. Mount it writable',
  },
  {
    signs: /\b(EACCES|EPERM)\b|permission denied|not permitted/i,
    says: (user) =>
      `the user of this process (${user}) has no right to it. Run this as its owner, or give the folder and all in it to that user (chown -R)`,
  },
  {
    signs: /\b(EMFILE|ENFILE)\b|too many open files|no file descriptors/i,
    says: () => 'this process may not open more files. Raise its limit (ulimit -n)',
  },
  {
    signs: /\bENOMEM\b|_OUT_OF_MEMORY\b|out of memory|could not allocate memory/i,
    says: () =>
      'this process gets no more memory. Raise its limit: a start needs 450 MB, the first one 600 MB',
  },
  {
    signs: /\bEIO\b|i\/o error/i,
    says: () => 'its disk reports read or write errors. Look at the disk',
  },
  {
    // What Node reports when it makes a folder with its parents, also on a read-only file system.
    signs: /\bENOENT\b.*\bmkdir\b/,
    says: () =>
      'it cannot be made: its file system is read-only, or a link in its path leads nowhere. Set DATA_DIR to another folder',
  },
  {
    signs: /\b(ENAMETOOLONG|ELOOP)\b/,
    says: () => 'its path is too long, or has links that lead in a circle. Set DATA_DIR to another folder',
  },
  {
    signs: /\b(EEXIST|ENOTDIR)\b/,
    says: () => 'a part of this path is a file. Set DATA_DIR to the path of a folder',
  },
];

/**
 * What is in the way and what to do about it, in one sentence each.
 * @param reason what a system call, SQLite or PostgreSQL said
 * @param user the id of the user that runs this process
 * @returns null when the reason is none that lies outside of the data
 */
export function hindranceOf(reason: string, user: number | undefined): string | null {
  return HINDRANCES.find(({ signs }) => signs.test(reason))?.says(user) ?? null;
}
