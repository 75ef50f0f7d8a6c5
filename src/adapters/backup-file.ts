import { createHash, createHmac, hash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { toFolderError } from './data-folder.ts';

/** What stands before the image of the database. */
const Head = Type.Object({
  format: Type.Literal('doorward-backup'),
  /** Of the file. */
  version: Type.Literal(1),
  /** That made the file. */
  release: Type.String(),
  /** When the newest migration that had run was made, in milliseconds since the epoch; 0: none had. */
  schema: Type.Integer(),
  created_at: Type.String(),
  /** Base64. Null when the key comes from the settings: then it is kept elsewhere. */
  key_encryption_key: Type.Union([Type.Null(), Type.String()]),
  /** Shows whether another key is the same one, and nothing else. */
  key_check: Type.String(),
  image_sha256: Type.String(),
});
export type BackupHead = Static<typeof Head>;
const headShape = Compile(Head);

/** A head is some 500 bytes. */
const HEAD_MAX_BYTES = 10_000;
const ZSTD = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** What an operator needs to know of a backup that was made. */
export type BackupReceipt = { file: string; bytes: number; holds_key: boolean; created_at: string };

/** A file that is not a backup, or not one to restore: the message says why and what to do. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

type BackupParts = Omit<BackupHead, 'format' | 'version' | 'image_sha256' | 'key_check'> & {
  /** 32 bytes: the one in use, wherever it comes from. */
  keyEncryptionKey: Buffer;
  /** The database as a tar file. */
  image: Blob;
};

/**
 * Writes a backup, readable only by its owner: one line of JSON, then the image, all of it compressed (zstd). It gets its
 * name when it is whole and on the disk: a process that is killed leaves no half file of that name.
 * @param mayReplace whether a file of that name may be there
 * @throws BackupError when there is one, or no folder for it; DataFolderError when the disk is in the way
 */
export async function writeBackup(
  file: string,
  parts: BackupParts,
  mayReplace = false,
): Promise<BackupReceipt> {
  const { image, keyEncryptionKey, ...told } = parts;
  if (!mayReplace && existsSync(file))
    throw new BackupError(`${file} is there already: name a file that is not`);
  const sum = createHash('sha256');
  for await (const part of image.stream()) sum.update(part);
  const head: BackupHead = {
    ...{ format: 'doorward-backup', version: 1, ...told, key_check: keyCheckOf(keyEncryptionKey) },
    ...{ image_sha256: sum.digest('hex') },
  };
  const draft = `${file}.part`;
  try {
    rmSync(draft, { force: true });
    const target = createWriteStream(draft, { mode: 0o600, flags: 'wx', flush: true });
    await pipeline(Readable.from(partsOf(head, image)), createZstdCompress(ZSTD), target);
    renameSync(draft, file);
    return {
      file,
      bytes: target.bytesWritten,
      holds_key: head.key_encryption_key !== null,
      created_at: head.created_at,
    };
  } catch (error) {
    rmSync(draft, { force: true });
    throw toFolderError(dirname(file), error);
  }
}

async function* partsOf(head: BackupHead, image: Blob): AsyncGenerator<Uint8Array | string> {
  yield `${JSON.stringify(head)}\n`;
  yield* image.stream();
}

/**
 * Reads a whole backup, and checks that nothing of it is missing or changed. It needs about twice the size of the database
 * as memory.
 * @throws BackupError when the file is none, is damaged, or cannot be read
 */
export async function readBackup(file: string): Promise<{ head: BackupHead; image: Buffer<ArrayBuffer> }> {
  const bytes = await unpack(file);
  const end = bytes.subarray(0, HEAD_MAX_BYTES).indexOf('\n');
  const head = parseHead(bytes.subarray(0, Math.max(end, 0)).toString());
  if (head === null) throw new BackupError(`${file} is no backup of this release or an earlier one`);
  const image = bytes.subarray(end + 1);
  if (hash('sha256', image) !== head.image_sha256)
    throw new BackupError(`${file} is damaged: use another backup`);
  return { head, image };
}

async function unpack(file: string): Promise<Buffer<ArrayBuffer>> {
  const unpacking = createZstdDecompress();
  try {
    const [bytes] = await Promise.all([buffer(unpacking), pipeline(createReadStream(file), unpacking)]);
    return bytes as Buffer<ArrayBuffer>;
  } catch (error) {
    throw new BackupError(`${file} cannot be read as a backup (${(error as NodeJS.ErrnoException).code})`, {
      cause: error,
    });
  }
}

function parseHead(line: string): BackupHead | null {
  try {
    const head: unknown = JSON.parse(line);
    return headShape.Check(head) ? head : null;
  } catch {
    return null;
  }
}

/** Whether the backup was made under this key. */
export function isMadeUnder(head: BackupHead, key: Buffer): boolean {
  return head.key_check === keyCheckOf(key);
}

/** The same for the same key alone; the key cannot be found from it. */
function keyCheckOf(key: Buffer): string {
  return createHmac('sha256', key).update('doorward backup').digest('hex');
}
