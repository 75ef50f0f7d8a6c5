import type { UserClaims } from '../core/user-claims.ts';
import { sql } from './drizzle.ts';
import { roles, users } from './schema.ts';

/**
 * The scopes of a user's roles, each once, in their order. It is worked out only for a user who has roles. The order is that
 * of bytes, whatever the database's collation is.
 */
const scopeOfRoles = sql<string>`case when ${users.roles} = '{}' then '' else (
  select coalesce(string_agg(distinct held.scope collate "C", ' ' order by held.scope collate "C"), '')
  from (select unnest(${roles.scopes}) as scope from ${roles} where ${roles.name} = any(${users.roles})) as held
) end`;

/** The columns of `users` that a token's claims are made of. For queries that join tables, which name tables in full. */
export const userClaimsColumns = {
  email: users.email,
  emailVerifiedAt: users.emailVerifiedAt,
  claimsVersion: users.claimsVersion,
  roles: users.roles,
  scope: scopeOfRoles,
};

type UserClaimsRow = Pick<
  typeof users.$inferSelect,
  'email' | 'emailVerifiedAt' | 'claimsVersion' | 'roles'
> & {
  scope: string;
};

/** What a token says about the user of that row. */
export function toUserClaims({
  email,
  emailVerifiedAt,
  claimsVersion,
  roles,
  scope,
}: UserClaimsRow): UserClaims {
  const claims = { email, email_verified: emailVerifiedAt !== null, cv: claimsVersion };
  return roles.length === 0 ? claims : { ...claims, roles, scope };
}
