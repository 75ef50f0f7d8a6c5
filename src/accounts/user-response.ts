import Type, { type Static } from 'typebox';
import { Instant, Uuid } from '../http/schemas.ts';
import type { User } from './user.ts';

/** How a user is shown to themselves. */
export const UserResponse = Type.Object({
  user: Type.Object({
    id: Uuid(),
    email: Type.String(),
    email_verified: Type.Boolean(),
    created_at: Instant(),
  }),
});

export function userResponse(user: User): Static<typeof UserResponse> {
  return {
    user: {
      id: user.id,
      email: user.emailAsTyped,
      email_verified: user.emailVerifiedAt !== null,
      created_at: user.createdAt.toISOString(),
    },
  };
}
