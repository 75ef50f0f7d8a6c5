import { djangoHash } from './django-hash.ts';
import {
  emailOf,
  type ForeignRecord,
  filled,
  fullName,
  idsOf,
  type Mapped,
  namesOf,
  type Origin,
  textOf,
  wordOf,
} from './foreign-record.ts';

/** Clerk: the CSV file of its dashboard. The one of its API has no hashes. */
export const clerkOrigin: Origin = {
  title: 'Clerk',
  fits: (record) => 'primary_email_address' in record || 'password_hasher' in record,
  read,
};

function read(record: ForeignRecord): Mapped {
  const verified = addressesIn(record.verified_email_addresses);
  const unverified = addressesIn(record.unverified_email_addresses);
  const email = emailOf(textOf(record.primary_email_address) ?? verified[0] ?? unverified[0]);
  return {
    user: {
      ...idsOf(record.id),
      email,
      email_verified: verified.includes(email),
      password_hash: passwordHashOf(record),
      display_name: fullName(record.first_name, record.last_name),
      metadata: filled({ username: record.username, phone_number: record.primary_phone_number }),
    },
    leftOut: namesOf({
      'second factors (TOTP)': textOf(record.totp_secret) !== null,
      'other e-mail addresses': [...verified, ...unverified].some((address) => address !== email),
      'sign-in by telephone number': textOf(record.primary_phone_number) !== null,
    }),
  };
}

function addressesIn(list: unknown): string[] {
  return (textOf(list) ?? '').split(/[\s,;|]+/).filter((address) => address !== '');
}

/** Clerk keeps the hashes of other systems in their own forms. */
function passwordHashOf({ password_digest, password_hasher }: ForeignRecord): string | null {
  const digest = textOf(password_digest);
  return digest !== null && /django/.test(wordOf(password_hasher)) ? djangoHash(digest) : digest;
}
