import {
  emailOf,
  type ForeignRecord,
  filled,
  flagOf,
  hasMembers,
  idsOf,
  instantOf,
  type Mapped,
  type NoUser,
  namesOf,
  OPERATORS_METADATA,
  type Origin,
  objectOf,
  type ReadContext,
  textOf,
} from './foreign-record.ts';
import type { ImportedUser } from './imported-user.ts';

/** Supabase: the table `auth.users` as CSV or JSON. */
export const supabaseOrigin: Origin = {
  title: 'Supabase',
  fits: (record) => 'encrypted_password' in record || 'raw_user_meta_data' in record,
  read,
};

function read(record: ForeignRecord, { now }: ReadContext): Mapped | NoUser {
  if (textOf(record.deleted_at) !== null) return { noUser: 'deleted accounts' };
  const { full_name, name, ...metadata } = objectOf(record.raw_user_meta_data, 'raw_user_meta_data');
  const app = objectOf(record.raw_app_meta_data, 'raw_app_meta_data');
  const verifiedAt = instantOf(record.email_confirmed_at, 'email_confirmed_at');
  return {
    user: {
      ...idsOf(record.id),
      email: emailOf(
        record.email,
        'there is no e-mail address: a guest, or an account of a telephone number',
      ),
      email_verified: verifiedAt !== null,
      email_verified_at: verifiedAt,
      password_hash: textOf(record.encrypted_password),
      display_name: textOf(full_name) ?? textOf(name),
      metadata: filled({ ...metadata, phone: record.phone }),
      created_at: instantOf(record.created_at, 'created_at'),
      updated_at: instantOf(record.updated_at, 'updated_at'),
      ...banOf(record, now),
    },
    leftOut: namesOf({
      'sign-in with other providers':
        flagOf(record.is_sso_user, 'is_sso_user') ||
        [app.providers ?? 'email'].flat().some((from) => from !== 'email'),
      'sign-in by telephone number': textOf(record.phone) !== null,
      [OPERATORS_METADATA]: hasMembers(ownMetadata(app), 'raw_app_meta_data'),
      'rights of a super admin': flagOf(record.is_super_admin, 'is_super_admin'),
    }),
  };
}

/** Without what Supabase itself writes there. */
function ownMetadata({ provider, providers, ...own }: ForeignRecord): ForeignRecord {
  return own;
}

/** A ban that is over is none. */
function banOf({ banned_until }: ForeignRecord, now: Date): Partial<ImportedUser> {
  const until = instantOf(banned_until, 'banned_until');
  if (until === null || Date.parse(until) <= now.getTime()) return {};
  return { status: 'banned', banned_until: until, ban_reason: 'Banned in Supabase' };
}
