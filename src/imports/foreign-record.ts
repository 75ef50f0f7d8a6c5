import type { ImportedUser } from './imported-user.ts';

/** A user as another system wrote it: what JSON can say, or a row of a CSV file under the names of its columns. */
export type ForeignRecord = Record<string, unknown>;

/** A record in our form, and what of it cannot be brought along, such as second factors. */
export type Mapped = { user: ImportedUser; leftOut: string[] };

/** The record is not a user there either, such as an account that was deleted. */
export type NoUser = { noUser: string };

/** What a record does not say itself. */
export type ReadContext = {
  now: Date;
  /** What stands before the salt and the hash of each user of a Firebase project; null: their passwords are left out. */
  firebasePrefix: string | null;
};

/** Reads the records of one system. */
export type Origin = {
  /** For people. */
  title: string;
  /** Whether a record looks like one of this system. */
  fits(record: ForeignRecord): boolean;
  /** @throws RecordProblem */
  read(record: ForeignRecord, context: ReadContext): Mapped | NoUser;
};

/** Why a record cannot be taken: a sentence for the operator, without what the record holds. */
export class RecordProblem extends Error {
  override readonly name = 'RecordProblem';
}

/** The value if it is a text with something in it. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

/** Numbers too: ids are numbers in some systems. */
export function idOf(value: unknown): string | null {
  return typeof value === 'number' ? String(value) : textOf(value);
}

/** A text or a number as text; empty for anything else, some of which JavaScript cannot convert. */
export function wordOf(value: unknown): string {
  return idOf(value) ?? '';
}

/** An object, which some systems write as JSON in a text; empty if there is none. @throws RecordProblem for other JSON */
export function objectOf(value: unknown, field: string): ForeignRecord {
  const parsed = typeof value === 'string' ? parsedOf(value, field) : value;
  if (parsed === null || parsed === undefined) return {};
  if (isObject(parsed)) return parsed;
  throw new RecordProblem(`${field} is not a JSON object`);
}

function parsedOf(text: string, field: string): unknown {
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    // Without the parser's message, which quotes the text.
    throw new RecordProblem(`${field} is not JSON`);
  }
}

/** Neither an array nor null. */
export function isObject(value: unknown): value is ForeignRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The objects of a list; empty if there is none. */
export function objectsIn(value: unknown): ForeignRecord[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

const FLAGS = new Map<unknown, boolean>([
  ...['true', 't', '1', 'yes', true, 1].map((word): [unknown, boolean] => [word, true]),
  ...['false', 'f', '0', 'no', false, 0].map((word): [unknown, boolean] => [word, false]),
  ...['', null, undefined].map((word): [unknown, boolean] => [word, false]),
]);

/** A yes or no as JSON, PostgreSQL or Python writes it; no if there is none. @throws RecordProblem for anything else */
export function flagOf(value: unknown, field: string): boolean {
  const flag = FLAGS.get(typeof value === 'string' ? value.trim().toLowerCase() : value);
  if (flag === undefined) throw new RecordProblem(`${field} is neither true nor false`);
  return flag;
}

/** Also what PostgreSQL and Python write: a space for the T, no zone, or a zone of hours alone. */
const INSTANT =
  /^(\d{4}-\d{2}-\d{2})(?:[ Tt](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) ?(?:[Zz]|UTC|([+-]\d{2}):?(\d{2})?)?)?$/;
const DIGITS = /^\d{1,15}$/;
/** What is less is seconds: as milliseconds it would be a time before 1973. */
const LEAST_MS = 1e11;

/**
 * A time as RFC 3339: from an ISO time, one of PostgreSQL, or milliseconds or seconds since the epoch. A time without a zone
 * is in UTC.
 * @returns null if there is none, which Go and .NET write as the start of the year 1
 * @throws RecordProblem for what is no time
 */
export function instantOf(value: unknown, field: string): string | null {
  if (value === null || value === undefined || value === '') return null;
  const text = wordOf(value).trim();
  if (text.startsWith('0001-01-01')) return null;
  const time = new Date(typeof value === 'number' ? toMs(value) : isoOf(text));
  if (Number.isNaN(time.getTime())) throw new RecordProblem(`${field} is not a time`);
  return time.toISOString();
}

function toMs(epoch: number): number {
  return Math.abs(epoch) < LEAST_MS ? epoch * 1_000 : epoch;
}

function isoOf(text: string): string | number {
  if (DIGITS.test(text)) return toMs(Number(text));
  const [whole, day, time = '00:00', hours = '+00', minutes = '00'] = INSTANT.exec(text) ?? [];
  return whole === undefined ? Number.NaN : `${day}T${time}${hours}:${minutes}`;
}

/** A language tag, which some systems write with an underscore. */
export function localeOf(value: unknown): string | null {
  return textOf(value)?.replaceAll('_', '-') ?? null;
}

/** Names that a system keeps in two fields, as one. */
export function fullName(...names: unknown[]): string | null {
  return textOf(
    names
      .map(textOf)
      .filter((name) => name !== null)
      .join(' '),
  );
}

/**
 * What users of another system could not change, such as claims that say what they may do. It is not brought along: here
 * they can change all of their metadata.
 */
export const OPERATORS_METADATA = 'metadata that the user could not change';

/** Whether there is an object with something in it. @throws RecordProblem for other JSON */
export function hasMembers(value: unknown, field: string): boolean {
  return Object.keys(objectOf(value, field)).length > 0;
}

/** Only what there is: no nulls, no empty texts and lists. */
export function filled(fields: ForeignRecord): ForeignRecord {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value)));
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '') return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

/** The names of those that are true, in their order. */
export function namesOf(found: Record<string, boolean>): string[] {
  return Object.keys(found).filter((name) => found[name]);
}

/** @throws RecordProblem when there is no address */
export function emailOf(value: unknown, hint = 'there is no e-mail address'): string {
  const email = textOf(value);
  if (email === null) throw new RecordProblem(hint);
  return email.trim();
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id in the other system; where it is a UUID, the account keeps it, as rows of other services may refer to it. */
export function idsOf(value: unknown): Pick<ImportedUser, 'id' | 'external_id'> {
  const id = idOf(value);
  return { external_id: id, ...(id !== null && UUID.test(id) && { id: id.toLowerCase() }) };
}

/** An account that its system does not let in. The time of the ban is not known there. */
export function bannedIf(isBanned: boolean, reason: string): Partial<ImportedUser> {
  return isBanned ? { status: 'banned', ban_reason: reason } : {};
}

/** Base64 as PHC strings have it: no padding, and `+/` where the web has `-_`. */
export function phcBase64(text: string): string {
  return text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
}
