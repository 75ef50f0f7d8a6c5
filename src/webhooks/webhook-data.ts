import type { UserFacts } from './webhook-store.ts';

/** `data` of a message about a user: the account as it is when the message is sent. */
export function userData(user: UserFacts) {
  return {
    user: {
      id: user.id,
      email: user.email,
      email_verified: user.emailVerifiedAt !== null,
      status: user.status,
      banned_until: user.bannedUntil?.toISOString() ?? null,
      roles: user.roles,
      external_id: user.externalId,
    },
    as_of: user.asOf.toISOString(),
  };
}
