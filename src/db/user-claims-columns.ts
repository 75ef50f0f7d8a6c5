import type { UserClaims } from '../core/user-claims.ts';
import { users } from './schema.ts';

/** The columns of `users` that a token's claims are made of. */
export const userClaimsColumns = {
  email: users.email,
  emailVerifiedAt: users.emailVerifiedAt,
  claimsVersion: users.claimsVersion,
};

type UserClaimsRow = Pick<typeof users.$inferSelect, keyof typeof userClaimsColumns>;

/** What a token says about the user of that row. */
export function toUserClaims({ email, emailVerifiedAt, claimsVersion }: UserClaimsRow): Required<UserClaims> {
  return { email, email_verified: emailVerifiedAt !== null, cv: claimsVersion };
}
