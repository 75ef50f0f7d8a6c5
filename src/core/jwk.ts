/**
 * The JWS algorithms that signing keys come in (RFC 7518 §3.1, RFC 8037 §3.1). A key keeps its own when the setting
 * changes, so tokens of any of them may be about.
 */
export const SIGNING_ALGORITHMS = ['ES256', 'EdDSA', 'RS256'] as const;

export type SigningAlgorithm = (typeof SIGNING_ALGORITHMS)[number];

/** A public key as the JWKS shows it (RFC 7517 §4), private parts never among its members. */
export type PublicJwk = { kty: string; use: string; alg: string; kid: string; [member: string]: string };
