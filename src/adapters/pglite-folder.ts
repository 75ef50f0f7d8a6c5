import { PGlite } from '@electric-sql/pglite';
import { DataFolderError, hinderedFolder } from './data-folder.ts';

/**
 * Opens the database in a folder.
 * @param image a prepared database, as a tar file, to put into a folder that is not there yet
 * @throws DataFolderError that says what is in the way; only if nothing outside of the data is, that it is damaged
 */
export async function openPGliteFolder(folder: string, image?: Blob): Promise<PGlite> {
  // The error that PGlite throws says only that it failed: PostgreSQL writes the reason here.
  const lines: string[] = [];
  try {
    const options = {
      onStderr: (line: string) => lines.push(line) > 0,
      ...(image && { loadDataDir: image }),
    };
    return await PGlite.create(folder, options);
  } catch (cause) {
    throw unopened(folder, [...lines, reasonOf(cause)].join('\n'), cause);
  }
}

function unopened(folder: string, reasons: string, cause: unknown): DataFolderError {
  const hindered = hinderedFolder(folder, reasons, cause);
  if (hindered !== null) return hindered;
  const [, version] = /initialized by PostgreSQL version (\d+)/.exec(reasons) ?? [];
  return new DataFolderError(
    version === undefined
      ? `${folder} does not open as a database. Copy the whole folder to a safe place first; then put a backup in its place`
      : `${folder} was made by PostgreSQL ${version}, which is not the version in this release. Run the release of Doorward that made it`,
    { cause },
  );
}

/** The file system of PGlite throws objects with a number and no text. The numbers are those of WASI. */
const WASI_ERRORS = new Map([
  [2, 'EACCES'],
  [19, 'EDQUOT'],
  [29, 'EIO'],
  [33, 'EMFILE'],
  [48, 'ENOMEM'],
  [51, 'ENOSPC'],
  [63, 'EPERM'],
  [69, 'EROFS'],
]);

function reasonOf(cause: unknown): string {
  const { errno } = Object(cause);
  return WASI_ERRORS.get(errno) ?? String(cause);
}
