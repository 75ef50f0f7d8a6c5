import Type, { type Static } from 'typebox';

/** Their names stand in each token. */
export const MOST_ROLES_OF_A_USER = 50;

/**
 * What a token says about its user, by claim name (OpenID Connect Core §5.1). It is made from the user's row in one
 * place and passed on as one value, so a new claim is one line here and one line in db/user-claims-columns.ts.
 */
export const UserClaims = Type.Object({
  /** Canonical. */
  email: Type.String(),
  email_verified: Type.Boolean(),
  /**
   * The claims version: it grows with every change after which earlier tokens of the user are void. Missing in copies of a
   * session that the release before has made.
   */
  cv: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Names, in their order. Missing if there are none: most users have none, and their cached copies pay nothing for it. */
  roles: Type.Optional(Type.Array(Type.String())),
  /** The scopes of the roles, in their order, with spaces between them. Missing with the roles. */
  scope: Type.Optional(Type.String()),
});

export type UserClaims = Static<typeof UserClaims>;
