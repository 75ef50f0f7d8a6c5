import { pipeline, Readable } from 'node:stream';
import { pick } from 'stream-json/core/filters/pick.js';
import type { Token } from 'stream-json/core/parser.js';
import { streamArray } from 'stream-json/core/streamers/stream-array.js';
import { withParser } from 'stream-json/utils/with-parser.js';
import type { Item } from './item.ts';
import { SourceError } from './source-bytes.ts';

/** Where documents keep their users: at the top, or under one of these names. */
const LISTS = ['users', 'items', 'identities'];
/** Users are some kilobytes. What is before them, in an export of a whole realm, may be long. */
const LONGEST_WITHOUT_USER_BYTES = 64 * 1024 * 1024;

/**
 * Reads the users of one JSON document, which may be larger than the memory.
 * @param isList whether the document is the list itself
 * @param longestBytes from one user to the next, at most
 * @throws SourceError when it is not JSON, or has no users
 */
export async function* readJson(
  source: AsyncIterable<Buffer>,
  isList: boolean,
  longestBytes = LONGEST_WITHOUT_USER_BYTES,
): AsyncGenerator<Item> {
  let count = 0;
  const fed = { bytes: 0, longestBytes };
  const records = withParser.asStream(() => (isList ? streamArray() : usersIn()), {
    ...{ streamValues: false, packValues: true },
  });
  // Its errors come out of the last stream.
  pipeline(Readable.from(textOf(source, fed)), records, () => {});
  try {
    for await (const { value } of records) {
      count += 1;
      fed.bytes = 0;
      yield { line: count, record: value };
    }
  } catch (error) {
    throw toSourceError(error, count);
  }
  if (count === 0 && !isList)
    throw new SourceError(`The document has no list of users (${LISTS.join(', ')})`);
}

/** Tokens of the document in, users out. */
function usersIn(): ReturnType<typeof streamArray> {
  const list = pick({ filter: (stack) => stack.length === 1 && LISTS.includes(String(stack[0])) });
  const users = streamArray();
  const find = (token: Token) => {
    const picked: unknown = list(token);
    return isPicked(picked) ? users(picked.values[0]) : undefined;
  };
  return find as typeof users;
}

/** One token of the list. */
function isPicked(value: unknown): value is { values: [Token] } {
  return typeof value === 'object';
}

async function* textOf(
  source: AsyncIterable<Buffer>,
  fed: { bytes: number; longestBytes: number },
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const chunk of source) {
    fed.bytes += chunk.length;
    if (fed.bytes > fed.longestBytes) {
      throw new SourceError(`There is no end of a user in ${fed.longestBytes} bytes of the document`);
    }
    yield decoder.decode(chunk, { stream: true });
  }
  yield decoder.decode();
}

/** Without the parser's message. What the file system says stays. */
function toSourceError(error: unknown, count: number): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof SourceError || /^E[A-Z]+$/.test(String(code))) return error;
  const what =
    code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not UTF-8' : 'is not JSON, or its end is missing';
  return new SourceError(
    `The document ${what}, after user ${count}. Those before were taken: correct it, and run the same again`,
    {
      cause: error,
    },
  );
}
