import Type, { type Static, type TSchema } from 'typebox';
import { Instant, Uuid } from '../http/schemas.ts';
import type { User } from './user.ts';

const OrNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

/** How a user is shown to themselves. */
export const UserResponse = Type.Object({
  user: Type.Object({
    id: Uuid(),
    email: Type.String(),
    email_verified: Type.Boolean(),
    created_at: Instant(),
    display_name: OrNull(Type.String()),
    locale: OrNull(Type.String({ description: 'The language of mails and pages (RFC 5646)' })),
    metadata: Type.Object(
      {},
      { additionalProperties: true, description: 'What the app keeps on its user; the user may change it' },
    ),
    password_leaked: Type.Boolean({ description: 'The password is in a list of leaked ones' }),
    deletion_due_at: OrNull(Instant('When the account will be deleted; until then that can be undone')),
  }),
});

/** The user in that form: the address as they typed it, and instants in RFC 3339. */
export function userResponse(user: User): Static<typeof UserResponse> {
  return {
    user: {
      id: user.id,
      email: user.emailAsTyped,
      email_verified: user.emailVerifiedAt !== null,
      created_at: user.createdAt.toISOString(),
      display_name: user.displayName,
      locale: user.locale,
      metadata: user.metadata,
      password_leaked: user.passwordBreachedAt !== null,
      deletion_due_at: user.deletionDueAt?.toISOString() ?? null,
    },
  };
}
