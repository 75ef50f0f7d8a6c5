import { type ForeignRecord, isObject, type ReadContext, RecordProblem } from './foreign-record.ts';
import type { ImportedUser } from './imported-user.ts';
import type { Item } from './item.ts';
import { ORIGIN_NAMES, type OriginName } from './origin-names.ts';
import { originNamed, originOf } from './origins.ts';
import { LONGEST_RECORD_BYTES } from './read-lines.ts';

/** A record and what it is here: a user, none, or one that cannot be taken. */
export type Entry = {
  line: number;
  from: OriginName;
  /** As it was read, to give it again after it was corrected. */
  source: unknown;
} & ({ user: ImportedUser; leftOut: string[]; bytes: number } | { noUser: string } | { reasons: string[] });

export type ReadOptions = {
  /** The system that records are of which do not say it themselves. */
  from: OriginName;
  context: ReadContext;
  /** Take users without their passwords. */
  withoutPasswords: boolean;
};

/** A record that an earlier import rejected. */
type Rejected = { from: OriginName; record: unknown };

/** How many records at the start may be unreadable before it is not known which system the file comes from. */
const MOST_TRIED = 100;

/** Reads one item. Whatever it holds, there is one entry. */
export function readUser(item: Item, options: ReadOptions): Entry {
  const { line } = item;
  const unread = (problem: string, source: unknown) => ({
    line,
    from: options.from,
    source,
    reasons: [problem],
  });
  if ('problem' in item) return unread(item.problem, item.raw);
  if (isDeeperThan(item.record, MOST_DEPTH)) return unread('the record is nested too deeply', null);
  const { from, record } = rejectedOf(item.record) ?? { from: options.from, record: item.record };
  try {
    return { line, from, source: record, ...read(record, from, options) };
  } catch (error) {
    if (!(error instanceof RecordProblem)) throw error;
    return { line, from, source: record, reasons: [error.message] };
  }
}

function read(record: unknown, from: OriginName, { context, withoutPasswords }: ReadOptions) {
  const found = typeof record === 'string' ? parsedOf(record) : record;
  if (!isObject(found)) throw new RecordProblem('the record is not a JSON object');
  const mapped = originNamed(from).read(found, context);
  if ('noUser' in mapped) return mapped;
  const user = withoutPasswords ? { ...mapped.user, password_hash: null } : mapped.user;
  return { user, leftOut: mapped.leftOut, bytes: sizeOf(user) };
}

/** A rejected line of text that was corrected. */
function parsedOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What PostgreSQL has no place for: zero bytes, and halves of characters. JSON shows them as escapes. */
const NOT_STORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/;

/** As the name of a member: no route here takes one. In a text the quote would have a backslash. */
const PROTO = /"__proto__":/;

/** @throws RecordProblem */
function sizeOf(user: ImportedUser): number {
  const text = JSON.stringify(user);
  if (PROTO.test(text)) throw new RecordProblem('a member is called __proto__');
  if (NOT_STORABLE.test(text)) throw new RecordProblem('a text has a zero byte, or half a character');
  if (text.length > LONGEST_RECORD_BYTES) throw new RecordProblem('the record is longer than 1 MiB');
  return text.length;
}

/** More than any record has. JSON that is nested thousands of times makes programs fail that write it. */
const MOST_DEPTH = 64;

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeperThan(inner, depth - 1));
}

function rejectedOf(record: unknown): Rejected | null {
  if (!isObject(record) || !Array.isArray(record.reasons) || !('record' in record)) return null;
  const from = ORIGIN_NAMES.find((name) => name === record.from);
  return from === undefined ? null : { from, record: record.record };
}

/**
 * Finds out which system the records come from, by the first one that can be read.
 * @returns also all items, those that were looked at included; `from` is null when it is none that is known
 */
export async function findOrigin(
  items: AsyncGenerator<Item>,
  isRow: boolean,
): Promise<{ from: OriginName | null; items: AsyncGenerator<Item> }> {
  const seen: Item[] = [];
  let from: OriginName | null = null;
  while (from === null && seen.length < MOST_TRIED) {
    const { value, done } = await items.next();
    if (done) break;
    seen.push(value);
    if ('record' in value) from = systemOf(value.record, isRow);
  }
  return { from, items: seenFirst(seen, items) };
}

function systemOf(record: unknown, isRow: boolean): OriginName | null {
  return rejectedOf(record)?.from ?? (isObject(record) ? originOf(record as ForeignRecord, isRow) : null);
}

async function* seenFirst(seen: Item[], rest: AsyncGenerator<Item>): AsyncGenerator<Item> {
  try {
    yield* seen;
    yield* rest;
  } finally {
    await rest.return(undefined);
  }
}
