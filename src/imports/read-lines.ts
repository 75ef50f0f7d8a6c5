import { isUtf8 } from 'node:buffer';
import type { Item } from './item.ts';

/** The longest line, or record of another kind. Some hundred times what a user needs. */
export const LONGEST_RECORD_BYTES = 1024 * 1024;

/** A line without its end; null for one that is too long, which is not kept. */
type Line = { number: number; bytes: Buffer | null };

/** Reads one JSON value a line. Lines of white space alone count, and are no records. */
export async function* readLines(source: AsyncIterable<Buffer>): AsyncGenerator<Item> {
  for await (const { number, bytes } of linesOf(source)) {
    if (bytes === null) yield { line: number, problem: 'the line is longer than 1 MiB', raw: null };
    else if (bytes.toString().trim() !== '') yield itemOf(number, bytes);
  }
}

function itemOf(line: number, bytes: Buffer): Item {
  const text = bytes.toString();
  if (!isUtf8(bytes)) return { line, problem: 'the line is not UTF-8', raw: text };
  try {
    return { line, record: JSON.parse(text) };
  } catch {
    // Without the parser's message, which quotes the line.
    return { line, problem: 'the line is not JSON', raw: text };
  }
}

async function* linesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 0;
  let kept: Buffer[] = [];
  let keptBytes = 0;
  const take = (part: Buffer) => {
    keptBytes += part.length;
    // What is too long is counted, not kept.
    if (keptBytes <= LONGEST_RECORD_BYTES) kept.push(part);
    else kept = [];
  };
  const line = (): Line => {
    number += 1;
    const bytes = keptBytes > LONGEST_RECORD_BYTES ? null : Buffer.concat(kept);
    kept = [];
    keptBytes = 0;
    return { number, bytes };
  };
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      take(chunk.subarray(start, end));
      yield line();
      start = end + 1;
    }
    take(chunk.subarray(start));
  }
  if (keptBytes > 0) yield line();
}
