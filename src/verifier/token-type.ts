/** The `typ` of an access token (RFC 9068 §2.1), and that of a single-use token. */
export type TokenType = 'at+jwt' | 'one-time+jwt';

/** How the `aud` of single-use tokens begins. No service may have such a name. */
const ONCE = 'urn:doorward:once:';

/**
 * What a token of this type has in `aud` for a service of this name. That of a single-use token is a name of its own:
 * otherwise a library that ignores `typ` would accept the token as an access token, again and again.
 */
export function audienceIn(type: TokenType, audience: string): string {
  return type === 'one-time+jwt' ? `${ONCE}${audience}` : audience;
}

/** Whether a name looks like the audience of single-use tokens. The start of a URN may be in any case (RFC 8141 §3). */
export function isReservedAudience(audience: string): boolean {
  return audience.toLowerCase().startsWith(ONCE);
}
