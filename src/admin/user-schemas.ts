import Type, { type TSchema } from 'typebox';
import { MOST_ROLES_OF_A_USER } from '../core/user-claims.ts';
import { Body, Instant, OptionalBody, Query, Text, Uuid } from '../http/schemas.ts';
import { pageFields } from './admin-page.ts';

const OrNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

/** An `AdminUser`. */
export const AdminUserSchema = Type.Object({
  id: Uuid(),
  email: Type.String({ description: 'Canonical: what "the same address" means' }),
  email_as_typed: Type.String(),
  email_verified: Type.Boolean(),
  email_verified_at: OrNull(Instant()),
  display_name: OrNull(Type.String()),
  locale: OrNull(Type.String()),
  metadata: Type.Object({}, { additionalProperties: true }),
  roles: Type.Array(Type.String()),
  status: Type.Union([Type.Literal('active'), Type.Literal('banned')]),
  banned_at: OrNull(Instant()),
  banned_until: OrNull(Instant('When the ban ends by itself; null: it does not')),
  ban_reason: OrNull(Type.String()),
  has_password: Type.Boolean(),
  external_id: OrNull(Type.String({ description: 'In the system that the account was imported from' })),
  created_at: Instant(),
  updated_at: Instant(),
  deletion_due_at: OrNull(Instant('When the account will be deleted, as its owner has asked')),
});

const MAX_INSTANT_LENGTH = 40;

const InstantAsked = (description: string) =>
  Text({ maxLength: MAX_INSTANT_LENGTH, description: `${description}; RFC 3339, or a day in UTC` });

export const UsersQuery = Query({
  search: Type.Optional(
    Text({
      ...{ minLength: 1, maxLength: 320 },
      description: 'The beginning of the address or of the name, in capitals or not',
    }),
  ),
  status: Type.Optional(Type.String({ enum: ['active', 'banned'] })),
  role: Type.Optional(Text({ maxLength: 100, description: 'The name of a role that they have' })),
  verified: Type.Optional(
    Type.String({ enum: ['true', 'false'], description: 'Whether the address is verified' }),
  ),
  created_after: Type.Optional(InstantAsked('Accounts from this instant on')),
  created_before: Type.Optional(InstantAsked('Accounts from before this instant')),
  ...pageFields,
});

/** Not a union: its errors would mention both branches. */
const TextOrNull = (description: string, maxLength?: number) =>
  Type.Unsafe<string | null>({
    ...{ type: ['string', 'null'], format: 'text', description },
    ...(maxLength !== undefined && { maxLength }),
  });

const profileFields = {
  display_name: Type.Optional(TextOrNull('At most 100 characters; null for none')),
  locale: Type.Optional(TextOrNull('A language tag (RFC 5646) such as `de`; null for none')),
  metadata: Type.Optional(
    Type.Unsafe<Record<string, unknown> | null>({
      ...{ type: ['object', 'null'], additionalProperties: true },
      description: 'At most 4 KiB of JSON; a change is merged into it, member by member',
    }),
  ),
  roles: Type.Optional(
    Type.Array(Text({ maxLength: 100 }), {
      maxItems: MOST_ROLES_OF_A_USER,
      description: 'Names. One that opens /admin is granted on the machine alone',
    }),
  ),
};

export const NewUser = Body({
  email: Text({ maxLength: 320 }),
  email_verified: Type.Optional(Type.Boolean({ description: 'False when left out' })),
  password: Type.Optional(Text({ description: 'Left out: the account has none' })),
  invite: Type.Optional(
    Type.Boolean({ description: 'Send a mail with a code to set the password, good for seven days' }),
  ),
  ...profileFields,
});

export const UserPatchSchema = Body({
  email: Type.Optional(
    Text({ maxLength: 320, description: 'The former address gets a mail that can undo this for seven days' }),
  ),
  email_verified: Type.Optional(Type.Boolean({ description: 'False when left out beside another address' })),
  ...profileFields,
});

export const BanBody = OptionalBody({
  reason: Type.Optional(TextOrNull('For operators; the user is not told', 500)),
  until: Type.Optional(
    TextOrNull(
      'When the ban ends by itself: RFC 3339, or a day in UTC; null or left out: it does not',
      MAX_INSTANT_LENGTH,
    ),
  ),
});
