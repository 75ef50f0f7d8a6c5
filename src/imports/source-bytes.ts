import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

type Bytes = AsyncIterable<Buffer>;

/** Bytes to come, the first of which are known. */
export type Peeked = { head: Buffer; bytes: Bytes };

/** The file cannot be read to its end, or not as what it looks like: the message says why and what to do. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
}

const CHUNK_BYTES = 256 * 1024;
const GZIP = Buffer.from([0x1f, 0x8b]);

/**
 * Reads a file, or the standard input for `-`; unpacked if it is gzipped.
 * @throws what the file system says while it is read; SourceError when it is damaged
 */
export async function openSource(path: string, stdin: Readable): Promise<Bytes> {
  const stream = path === '-' ? stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const { head, bytes } = await peek(stream, (read) => read.length >= GZIP.length);
  return head.subarray(0, GZIP.length).equals(GZIP) ? unpacked(bytes) : bytes;
}

async function* unpacked(bytes: Bytes): Bytes {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  // Its errors come out of the last stream.
  pipeline(Readable.from(bytes, { objectMode: false }), gunzip, () => {});
  try {
    yield* gunzip;
  } catch (error) {
    if (!/^(Z_|ERR_STREAM_PREMATURE)/.test(String((error as NodeJS.ErrnoException).code))) throw error;
    throw new SourceError('The gzip file is damaged, or its end is missing: make it again', { cause: error });
  }
}

/** Reads until `isEnough` of what was read, or the end. */
export async function peek(source: Bytes, isEnough: (read: Buffer) => boolean): Promise<Peeked> {
  const chunks = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
    if (isEnough(head)) break;
  }
  return { head, bytes: headFirst(head, chunks) };
}

async function* headFirst(head: Buffer, rest: AsyncIterator<Buffer>): Bytes {
  try {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => rest };
  } finally {
    await rest.return?.();
  }
}
