import { Compile } from 'typebox/compile';
import { validate, version } from 'uuid';
import { parseEmailAddress } from '../accounts/email-address.ts';
import { NO_PROFILE, type Profile, patchProfile } from '../accounts/profile-rules.ts';
import type { FieldError } from '../core/errors.ts';
import { parseInstant } from '../core/instant.ts';
import { MOST_ROLES_OF_A_USER } from '../core/user-claims.ts';
import { isText } from '../http/schemas.ts';
import { type ForeignHash, readForeignHash } from '../passwords/foreign-hash.ts';
import { ImportedUser } from './imported-user.ts';

const MAX_ID_LENGTH = 255;
const MAX_REASON_LENGTH = 500;
const [FIRST_YEAR, LAST_YEAR] = [1900, 9999];
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;

const shape = Compile(ImportedUser);

/** A record whose rules hold; what it does not say is null. */
export type ReadUser = Profile & {
  /** A UUID that the record brings. */
  id: string | null;
  email: string;
  emailAsTyped: string;
  isVerified: boolean;
  emailVerifiedAt: Date | null;
  hash: ForeignHash | null;
  /** Without doubles, in the order of their names. */
  roles: string[];
  status: 'active' | 'banned';
  bannedAt: Date | null;
  bannedUntil: Date | null;
  banReason: string | null;
  externalId: string | null;
  createdAt: Date | null;
  updatedAt: Date | null;
};

/** Reads a record by itself. @returns the user, or all that is wrong with it: sentences that quote nothing secret */
export function readImportedUser(record: unknown): { user: ReadUser } | { reasons: string[] } {
  if (!shape.Check(record)) return { reasons: formProblems(record) };
  const reasons: string[] = [];
  const user = {
    ...readIds(record, reasons),
    ...readAddress(record, reasons),
    ...readProfile(record, reasons),
    ...readBan(record, reasons),
    hash: readHash(record.password_hash ?? null, reasons),
    roles: readRoles(record.roles ?? [], reasons),
    createdAt: instantOf(record, 'created_at', reasons),
    updatedAt: instantOf(record, 'updated_at', reasons),
  };
  return reasons.length === 0 ? { user } : { reasons };
}

/** Each member once: of a union, every branch complains. */
function formProblems(record: unknown): string[] {
  const paths = new Set(shape.Errors(record).map(({ instancePath }) => instancePath.slice(1)));
  return [...paths].map((path) =>
    path === ''
      ? 'The record must have an email, and no members but those of the format.'
      : `${path}: It is not of the type that the format says.`,
  );
}

function readIds({ id, external_id }: ImportedUser, reasons: string[]) {
  const given = external_id ?? null;
  const own = id ?? null;
  const isOurs = own !== null && isUuid(own);
  const externalId = given ?? (isOurs ? null : own);
  if (externalId !== null && (externalId === '' || externalId.length > MAX_ID_LENGTH || !isText(externalId)))
    reasons.push(`external_id: Use 1 to ${MAX_ID_LENGTH} characters of well-formed Unicode without NUL.`);
  return { id: isOurs ? own.toLowerCase() : null, externalId };
}

/** Not the two UUIDs that stand for none and for the last. */
function isUuid(text: string): boolean {
  return validate(text) && version(text) > 0 && version(text) < 9;
}

function readAddress(record: ImportedUser, reasons: string[]) {
  const { email, email_verified } = record;
  const address = parseEmailAddress(email);
  const typed = parseEmailAddress(record.email_as_typed ?? email);
  const emailVerifiedAt = instantOf(record, 'email_verified_at', reasons);
  const isVerified = email_verified ?? emailVerifiedAt !== null;
  const about = { isVerified, emailVerifiedAt: isVerified ? emailVerifiedAt : null };
  if ('problem' in address) reasons.push(`email: ${address.problem}`);
  else if ('problem' in typed || typed.canonical !== address.canonical)
    reasons.push('email_as_typed: It is another address than the email.');
  else return { email: address.canonical, emailAsTyped: typed.asTyped, ...about };
  return { email, emailAsTyped: email, ...about };
}

function readProfile({ display_name, locale, metadata }: ImportedUser, reasons: string[]): Profile {
  const given = { display_name: display_name ?? null, locale: locale ?? null, metadata: metadata ?? null };
  try {
    return patchProfile(NO_PROFILE, given).profile;
  } catch (error) {
    // It throws nothing else.
    const { errors } = error as { errors: FieldError[] };
    for (const { path, message } of errors) reasons.push(`${path.slice(1)}: ${message}`);
    return NO_PROFILE;
  }
}

function readBan(record: ImportedUser, reasons: string[]) {
  const ban = {
    bannedAt: instantOf(record, 'banned_at', reasons),
    bannedUntil: instantOf(record, 'banned_until', reasons),
    banReason: record.ban_reason ?? null,
  };
  const status = record.status ?? 'active';
  if (status === 'active' && Object.values(ban).some((one) => one !== null))
    reasons.push('status: It must be "banned" where something is said of a ban.');
  if (ban.banReason !== null && (ban.banReason.length > MAX_REASON_LENGTH || !isText(ban.banReason)))
    reasons.push(
      `ban_reason: Use at most ${MAX_REASON_LENGTH} characters of well-formed Unicode without NUL.`,
    );
  return { status, ...ban };
}

function readHash(text: string | null, reasons: string[]): ForeignHash | null {
  const read = text === null ? null : readForeignHash(text);
  if (read === null || 'stored' in read) return read;
  reasons.push(`password_hash: ${read.problem}`);
  return null;
}

function readRoles(names: string[], reasons: string[]): string[] {
  const roles = [...new Set(names)].sort();
  if (roles.length > MOST_ROLES_OF_A_USER) reasons.push(`roles: Give at most ${MOST_ROLES_OF_A_USER}.`);
  return roles;
}

type InstantName = 'email_verified_at' | 'banned_at' | 'banned_until' | 'created_at' | 'updated_at';

function instantOf(record: ImportedUser, name: InstantName, reasons: string[]): Date | null {
  const text = record[name] ?? null;
  if (text === null) return null;
  const instant = RFC_3339.test(text) ? parseInstant(text) : null;
  // Others come out of the database as another year.
  const year = instant?.getUTCFullYear() ?? 0;
  if (year >= FIRST_YEAR && year <= LAST_YEAR) return instant;
  reasons.push(
    `${name}: It must be an instant as in RFC 3339, such as 2026-01-31T12:00:00Z, of the years ${FIRST_YEAR} to ${LAST_YEAR}.`,
  );
  return null;
}
