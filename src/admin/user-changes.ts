import { isDeepStrictEqual } from 'node:util';
import type { AdminUser, ListedUser } from './user-listing.ts';
import type { UserChanges } from './users-store.ts';

/** What an operator changes directly: the rest follows from it. */
const FIELDS = ['email', 'email_as_typed', 'email_verified', 'display_name', 'locale', 'metadata'] as const;

type Fields = Partial<Pick<AdminUser, (typeof FIELDS)[number]>>;

/** The fields in which the two differ, before and after; null if there are none. */
export function changesOf(before: AdminUser, after: AdminUser): { before: Fields; after: Fields } | null {
  const changed = FIELDS.filter((field) => !isDeepStrictEqual(before[field], after[field]));
  if (changed.length === 0) return null;
  const pick = (user: AdminUser): Fields => Object.fromEntries(changed.map((field) => [field, user[field]]));
  return { before: pick(before), after: pick(after) };
}

/** Whether the user is not yet as that says. */
export function differs(user: ListedUser, { isVerified, ...wanted }: UserChanges): boolean {
  const { emailAsTyped, displayName, locale, metadata, emailVerifiedAt } = user;
  const isSame = isDeepStrictEqual({ emailAsTyped, displayName, locale, metadata }, wanted);
  return !isSame || (emailVerifiedAt !== null) !== isVerified;
}
