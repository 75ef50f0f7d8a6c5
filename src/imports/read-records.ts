import type { Item } from './item.ts';
import { readCsv } from './read-csv.ts';
import { readJson } from './read-json.ts';
import { LONGEST_RECORD_BYTES, readLines } from './read-lines.ts';
import { type Peeked, peek, SourceError } from './source-bytes.ts';

/** How the records are written down. */
export type Container = 'lines' | 'list' | 'document' | 'csv';

/** What `line` counts, for people. */
export const COUNTED: Record<Container, string> = {
  lines: 'line',
  list: 'user',
  document: 'user',
  csv: 'line',
};

/** By its mark, or because one of the first two bytes is zero. */
const UTF_16 = /^(\xff\xfe|\xfe\xff|[\s\S]?\0)/;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Reads the records of a file in the form that its beginning shows.
 * @param container the form, if it is known
 * @throws SourceError when it is in none of the forms
 */
export async function readRecords(
  source: AsyncIterable<Buffer>,
  container?: Container,
): Promise<{ container: Container; items: AsyncGenerator<Item> }> {
  const { head, bytes } = await peek(source, hasFirstLine);
  if (UTF_16.test(head.toString('latin1'))) throw new SourceError('The file is in UTF-16: save it as UTF-8');
  const line = firstLineOf(head);
  const form = container ?? containerOf(line);
  return { container: form, items: itemsOf(form, withoutBom({ head, bytes }), line) };
}

function itemsOf(form: Container, bytes: AsyncIterable<Buffer>, header: string): AsyncGenerator<Item> {
  if (form === 'csv') return readCsv(bytes, header);
  return form === 'lines' ? readLines(bytes) : readJson(bytes, form === 'list');
}

function hasFirstLine(read: Buffer): boolean {
  return read.length > LONGEST_RECORD_BYTES || read.toString().trimStart().includes('\n');
}

/** The first line that is not empty. */
function firstLineOf(head: Buffer): string {
  return head
    .toString()
    .replace(/^\ufeff/, '')
    .trimStart()
    .replace(/\n[\s\S]*/, '')
    .trim();
}

function containerOf(line: string): Container {
  if (line === '') throw new SourceError('The file is empty');
  if (line.startsWith('[')) return 'list';
  if (!line.startsWith('{')) return 'csv';
  return isRecord(line) ? 'lines' : 'document';
}

/** Not the start of a document of several lines, nor a document in one line. The first record may be damaged too. */
function isRecord(line: string): boolean {
  try {
    const { users, items } = JSON.parse(line);
    return !Array.isArray(users) && !Array.isArray(items);
  } catch {
    return line.endsWith('}') && !/^\{\s*"(?:users|items|identities)"/.test(line);
  }
}

/** Records that were read have none, wherever they are. */
async function* withoutBom({ head, bytes }: Peeked): AsyncGenerator<Buffer> {
  let skip = head.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0;
  for await (const chunk of bytes) {
    // The head is the first chunk.
    yield chunk.subarray(skip);
    skip = 0;
  }
}
