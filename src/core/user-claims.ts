import Type, { type Static } from 'typebox';

/**
 * What a token says of its user, by the names of its claims (OpenID Connect Core §5.1). Made from the user's row in one
 * place and handed on whole, so that a new claim is one line here and one there.
 */
export const UserClaims = Type.Object({
  /** Canonical. */
  email: Type.String(),
  email_verified: Type.Boolean(),
});

export type UserClaims = Static<typeof UserClaims>;
